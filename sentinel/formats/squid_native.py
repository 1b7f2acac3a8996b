"""Squid's native access.log (`logformat squid`): one request or CONNECT a line, written when it ended.

    1700000000.123    345 192.0.2.7 TCP_TUNNEL/200 5120 CONNECT pimeyes.com:443 alice HIER_DIRECT/203.0.113.9 -

Of an intercepted or bumped tunnel there are several lines: a CONNECT for each step, and each request inside.

Reference: http://www.squid-cache.org/Doc/config/logformat/
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sentinel.formats.envelope import peel
from sentinel.formats.format import LogFormat, Malformed, Stream, as_text, utc_from_epoch
from sentinel.formats.pattern import Pattern
from sentinel.formats.proxied import squid_action, squid_server, squid_user, started, target
from sentinel.observation import Observation, ip_address

_FRONT = Pattern(
    r"(?P<secs>\d{1,11})\.(?P<ms>\d{3}) +(?P<took>-?\d{1,19}) (?P<client>\S+) (?P<result>[A-Z][A-Z_]+)/(?P<status>\d{3}) "
    r"(?P<size>\d{1,18}) (?P<method>[^\s\"]+) ",
    re.ASCII,
)
_PEER = Pattern(
    r"(?:TIMEOUT_)?(?:HIER_[A-Z_]+|NONE|DIRECT|PINNED|ORIGINAL_DST|CARP|STANDBY_POOL|[A-Z_]*(?:PARENT|SIBLING)[A-Z_]*|CLOSEST_DIRECT|NO_DIRECT_FAIL"
    r"|SOURCE_FASTEST|CACHE_DIGEST_HIT)/\S+\Z",
    re.ASCII,
)
_URL_REST = Pattern(r"[/?&=]")
_AFTER = Pattern(r"(?: \d+\.\d+)?(?: \[.*)?\Z", re.ASCII)


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
    asked = target(front["method"], url)
    if asked is None or front["method"].startswith("ICP_"):
        return ()  # a broken request, the cache manager, or another cache's question: no access to a site
    connect = front["method"] == "CONNECT"
    ended = utc_from_epoch(int(front["secs"]), int(front["ms"]) * 1000)
    began, duration = started(ended, int(front["took"]))
    how, _, address = peer.partition("/")
    challenged = front["status"] == "407"
    return (
        Observation(
            time=began,
            time_text=f"{front['secs']}.{front['ms']}",
            kind="proxy_connect" if connect else "http_request",
            client=front["client"],
            device=None if ip_address(front["client"]) else front["client"],
            # A 407 prints the name that was tried, whether or not its password was right.
            user=None if challenged else user,
            claimed_user=user if challenged else None,
            server=squid_server(how, address),
            server_port=asked.port,
            name=asked.name,
            url=url,
            path=asked.path,
            query=asked.query,
            method=front["method"],
            status=int(front["status"]),
            bytes_down=int(front["size"]),
            duration=duration,
            action=squid_action(front["result"], int(front["status"])),
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
    return url, squid_user(user), words[peer], f" {rest}" if rest else ""


FORMAT = LogFormat(
    name="squid-native",
    title="Squid access.log, native format",
    reference="http://www.squid-cache.org/Doc/config/logformat/",
    recognise=recognise,
    parse=parse,
    yields=("http_request", "proxy_connect"),
    tested_with="Squid 5.7 and 7.7",
)
