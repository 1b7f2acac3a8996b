"""Squid's native access.log (`logformat squid`): one request or CONNECT a line, written when it ended.

    1700000000.123    345 192.0.2.7 TCP_TUNNEL/200 5120 CONNECT pimeyes.com:443 alice HIER_DIRECT/203.0.113.9 -

Of an intercepted or bumped tunnel there are several lines: a CONNECT for each step, and each request inside.

Reference: http://www.squid-cache.org/Doc/config/logformat/
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import unquote

from sentinel.formats.envelope import peel
from sentinel.formats.format import LogFormat, Malformed, Stream, as_text, utc_from_epoch
from sentinel.observation import Action, Observation, host_of, ip_address

_FRONT = re.compile(
    r"(?P<secs>\d{1,11})\.(?P<ms>\d{3}) +(?P<took>-?\d{1,19}) (?P<client>\S+) (?P<result>[A-Z][A-Z_]+)/(?P<status>\d{3}) "
    r"(?P<size>\d{1,18}) (?P<method>[^\s\"]+) ",
    re.ASCII,
)
_PEER = re.compile(
    r"(?:TIMEOUT_)?(?:HIER_[A-Z_]+|NONE|DIRECT|PINNED|ORIGINAL_DST|CARP|STANDBY_POOL|[A-Z_]*(?:PARENT|SIBLING)[A-Z_]*|CLOSEST_DIRECT|NO_DIRECT_FAIL"
    r"|SOURCE_FASTEST|CACHE_DIGEST_HIT)/\S+\Z",
    re.ASCII,
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?", re.ASCII)
_PORT = re.compile(r":(\d{1,5})\Z", re.ASCII)
_URL_REST = re.compile(r"[/?&=]")
_AFTER = re.compile(r"(?: \d+\.\d+)?(?: \[.*)?\Z", re.ASCII)


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that look like this format, 0.0 to 1.0."""
    return sum(_is_line(as_text(record)) for record in records) / max(1, len(records))


def _is_line(text: str) -> bool:
    # Cisco's web gateways write the same columns and their own behind them.
    found = _split(text)
    return found is not None and _AFTER.match(found[1][3]) is not None


def parse(record: bytes, _stream: Stream) -> Sequence[Observation]:
    """Read one line. The time is the request's start in UTC: Unix seconds at its end, less the milliseconds it took.

    The size is what went to the client, headers included; what came from it is not in this format.

    Raises:
        Malformed: Another shape, or a time that no date can hold.
    """
    found = _split(as_text(record))
    if found is None:
        raise Malformed("no 'time took client result/status bytes method url user hierarchy/peer type'")
    front, (url, user, peer, _after), resolver = found
    target = _target(front["method"], url)
    if target is None or front["method"].startswith("ICP_"):
        return ()  # a broken request, the cache manager, or another cache's question: no access to a site
    name, port, path, query = target
    connect = front["method"] == "CONNECT"
    ended = utc_from_epoch(int(front["secs"]), int(front["ms"]) * 1000)
    started, duration = _started(ended, int(front["took"]))
    challenged = front["status"] == "407"
    return (
        Observation(
            time=started,
            time_text=f"{front['secs']}.{front['ms']}",
            kind="proxy_connect" if connect else "http_request",
            client=front["client"],
            device=None if ip_address(front["client"]) else front["client"],
            # A 407 prints the name that was tried, whether or not its password was right.
            user=None if challenged else user,
            claimed_user=user if challenged else None,
            server=_server(peer),
            server_port=port,
            name=name,
            url=url,
            path=path,
            query=query,
            method=front["method"],
            status=int(front["status"]),
            bytes_down=int(front["size"]),
            duration=duration,
            action=_action(front["result"], int(front["status"])),
            resolver=resolver,
        ),
    )


def _split(text: str) -> tuple[re.Match[str], tuple[str, str | None, str, str], str | None] | None:
    """Return the front columns, (URL, user, hierarchy/peer, what is after the type) and the host that wrote a line."""
    front, host = _FRONT.match(text), None
    if front is None:
        peeled = peel(text)
        if peeled.program is None:
            return None
        text, host = peeled.message, peeled.host
        front = _FRONT.match(text)
    back = _back(text[front.end() :], front["method"] == "CONNECT") if front else None
    return (front, back, host) if front and back else None


def _back(text: str, connect: bool) -> tuple[str, str | None, str, str] | None:
    """Take the columns behind the method apart from the end: URL and user may hold blanks, what follows them does not."""
    words = text.split(" ")
    at = [i for i, word in enumerate(words) if i >= 2 and i + 1 < len(words) and _PEER.match(word)]
    if not at:
        return None
    peer = at[0] if text.endswith("]") else at[-1]  # logged headers, in brackets, could hold such a word too
    head = words[:peer]
    cut = 1
    if not connect and len(head) > 2 and (head[-1] == "-" or _URL_REST.search("".join(head[1:-1]))):
        cut = len(head) - 1  # the blank is the URL's
    url, user = " ".join(head[:cut]), " ".join(head[cut:])
    rest = " ".join(words[peer + 2 :])
    return url, None if user == "-" else _user(user), words[peer], f" {rest}" if rest else ""


def _user(written: str) -> str:
    """Undo what Squid does to names: bytes beyond ASCII as %xx, the backslash behind a domain doubled."""
    return unquote(written).replace("\\\\", "\\") if "%" in written or "\\" in written else written


def _target(method: str, url: str) -> tuple[str | None, int | None, str | None, str | None] | None:
    """Return host, port, path and query of what was asked for, None when it is no site."""
    if method == "CONNECT":
        name, port = host_of(url), _PORT.search(url)
        return (name, int(port[1]) if port else None, None, None) if name and "/" not in url else None
    found = _URL.match(url)
    if found is None or url.startswith(("cache_object:", "error:")):
        return None
    authority = found["authority"]
    name = host_of(authority)
    if name is None:
        return None
    port = _PORT.search(authority)
    scheme = url[:6].lower()
    default = 443 if scheme == "https:" else 80 if scheme.startswith("http:") else None
    return name, int(port[1]) if port else default, found["path"] or "/", found["query"]


def _started(ended: datetime, took: int) -> tuple[datetime, float | None]:
    """Return start and seconds; without a start of its own a transaction is given one in 1970, or after its end."""
    if not 0 <= took < ended.timestamp() * 1000:
        return ended, None
    return ended - timedelta(milliseconds=took), took / 1000


def _server(peer: str) -> str | None:
    """Return the address that was connected to, unless it is another cache's."""
    how, _, address = peer.partition("/")
    return None if "PARENT" in how or "SIBLING" in how else ip_address(address)


def _action(result: str, status: int) -> Action | None:
    if status == 407:
        return "challenged"
    if "DENIED" in result:
        return "blocked"
    # NONE with an error: Squid answered by itself, and by no rule of policy.
    return "failed" if result.startswith("NONE") and not 200 <= status < 400 else "allowed"


FORMAT = LogFormat(
    name="squid-native",
    title="Squid access.log, native format",
    reference="http://www.squid-cache.org/Doc/config/logformat/",
    recognise=recognise,
    parse=parse,
    yields=("http_request", "proxy_connect"),
    tested_with="Squid 5.7 and 7.7",
)
