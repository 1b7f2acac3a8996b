"""HAProxy's own forms: the HTTP, HTTPS and TCP logs (`option httplog`, `httpslog`, `tcplog`).

    10.0.0.5:40362 [23/Nov/2026:06:21:27.404] fe be/s 0/0/0/0/0 200 203 - - ---- 1/1/0/0/0 0/0 {site.example} "GET /a HTTP/1.1"
    10.0.0.5:51020 [23/Nov/2026:06:21:27.475] fe be/s1 3/0/9 1639 -- 1/1/0/0/0 0/0

Times are those of the machine, when a request began. Which site was meant says the request where it has a whole URL or is a
CONNECT, else a header that was captured (the first that is a host's name), and the name in the TLS handshake at the end of an
HTTPS log, or behind `sni=` in a TCP log. Nothing says what the client sent, nor the server's address.

Reference: https://docs.haproxy.org/2.6/configuration.html#8.2
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sentinel.formats.envelope import peel
from sentinel.formats.format import Clock, LogFormat, Malformed, Stream, as_text
from sentinel.formats.pattern import Pattern
from sentinel.formats.proxied import Target, target, tunnel_action
from sentinel.observation import Action, Kind, Observation, host_of, ip_address

_BEGIN = (
    r"(?P<client>[0-9A-Fa-f:.]{2,45}|unix):(?P<port>\d{1,5}) "
    r"\[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3})\] "
    r"(?P<frontend>\S{1,255}) [^\s/]{1,255}/(?P<server>\S{1,255}) "
)
_COUNTS = r"\d{1,9}/\d{1,9}/\d{1,9}/\d{1,9}/\+?\d{1,9} \d{1,9}/\d{1,9}"
_HTTP = Pattern(
    _BEGIN
    + r"(?:-?\d{1,12}/){4}\+?(?P<took>-?\d{1,12}) (?P<status>-?\d{1,3}) (?P<down>\+?\d{1,19}) \S{1,4096} \S{1,4096} "
    + r"(?P<ended>[\w-]{4}) "
    + _COUNTS
    + r"(?: \{(?P<captured>[^{}]*)\})?(?: \{[^{}]*\})? \"(?P<request>[^\"]*)(?P<whole>\")?"
    + r"(?: -?\d{1,9}/[0-9A-Fa-f]{1,16}/\d{1,9}/\d{1,9}/[01] (?P<sni>[^\s/]{1,255})/\S{1,255})?\Z",
    re.ASCII,
)
_TCP = Pattern(
    _BEGIN
    + r"(?:-?\d{1,12}/){2}\+?(?P<took>-?\d{1,12}) (?P<down>\+?\d{1,19}) (?P<ended>[\w-]{2}) "
    + _COUNTS
    # What an administrator adds stands behind, and is read as far as it says which name the handshake asked for.
    + r"(?:(?: \S{1,512}){0,16}? \"?sni[=:](?P<sni>[\w.-]{1,255})\"?(?=\s|\Z).*|(?: .*)?)\Z",
    re.ASCII,
)
_ERROR = Pattern(
    r"(?:[0-9A-Fa-f:.]{2,45}|unix):\d{1,5} \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] [^\s/]{1,255}/[^\s:]{1,255}: "
    r"(?:SSL |Stopped |Connection |Timeout|Received )", re.ASCII
)  # fmt: skip
_REQUEST = Pattern(r"(?P<method>[A-Z][A-Z_-]{1,30}) (?P<url>\S+)(?: HTTP/\d(?:\.\d)?)?", re.ASCII)
_HOST = Pattern(r"(?=.{4,255}\Z)(?:[A-Za-z0-9_-]{1,63}\.)+[A-Za-z][A-Za-z0-9-]{1,62}\.?(?::\d{1,5})?\Z", re.ASCII)
_ESCAPED = Pattern(r"#([0-9A-F]{2})")
_NOT_REACHED = frozenset("RQC")
"""The states in which a session ended before any server answered: at the request, in the queue, while connecting."""


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that look like these forms, 0.0 to 1.0."""
    found = (peel(as_text(record)).message for record in records)
    return sum(any(one.match(text) for one in (_HTTP, _TCP, _ERROR)) for text in found) / max(1, len(records))


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one record. One of a handshake that failed tells of no access, nor does a request without a site.

    Raises:
        Malformed: Another shape, or a time that no date can hold.
    """
    envelope = peel(as_text(record))
    line = _HTTP.match(envelope.message)
    if line is not None:
        return _http(line, stream.clock, envelope.host)
    line = _TCP.match(envelope.message)
    if line is not None:
        return _tcp(line, stream.clock, envelope.host)
    if _ERROR.match(envelope.message):
        return ()
    raise Malformed("no 'client:port [time] frontend backend/server timers …'")


def _http(line: re.Match[str], clock: Clock, resolver: str | None) -> Sequence[Observation]:
    request = _REQUEST.match(line["request"])
    method, url = (request["method"], _unescaped(request["url"])) if request else ("", "")
    asked = target(method, url) or _origin_form(line, method, url)
    if asked is None:
        return ()
    sni = _sni(line)
    connect = method == "CONNECT"
    status = int(line["status"]) if line["status"].isdigit() and int(line["status"]) else None
    common = _common(line, clock, resolver)
    return (
        Observation(
            **common,
            kind="proxy_connect" if connect else "http_request",
            name=asked.name,
            names=(sni,) if sni else (),
            server_port=asked.port,
            url=f"{_scheme(line)}://{asked.name}{url}" if url.startswith("/") else url,
            path=asked.path,
            query=asked.query,
            method=method,
            status=status,
            action=tunnel_action(status) if connect else _action(line["ended"], status),
        ),
    )


def _tcp(line: re.Match[str], clock: Clock, resolver: str | None) -> Sequence[Observation]:
    name = _sni(line)
    failed = _not_reached(line["ended"]) or line["server"] == "<NOSRV>"
    kind: Kind = "tls_client_hello" if name else "flow"
    return (Observation(**_common(line, clock, resolver), kind=kind, name=name, action="failed" if failed else "allowed"),)


def _common(line: re.Match[str], clock: Clock, resolver: str | None) -> dict[str, Any]:
    took = int(line["took"])
    return {
        "time": _time(line["time"], clock),
        "time_text": line["time"],
        "client": ip_address(line["client"]),
        "client_port": int(line["port"]) if ip_address(line["client"]) and int(line["port"]) < 65536 else None,
        "duration": took / 1000 if took >= 0 else None,
        "bytes_down": int(line["down"].lstrip("+")),
        "resolver": resolver,
    }


def _origin_form(line: re.Match[str], method: str, url: str) -> Target | None:
    """Return the site of a request for a path, as a captured header names it, else the handshake."""
    if not url.startswith("/") or method == "CONNECT":
        return None
    captured = (_unescaped(one).strip() for one in (line["captured"] or "").split("|"))
    host = next((one for one in captured if _HOST.match(one)), _sni(line))
    return target(method, f"{_scheme(line)}://{host}{url}") if host else None


def _sni(line: re.Match[str]) -> str | None:
    return host_of(line["sni"]) if line["sni"] else None


def _scheme(line: re.Match[str]) -> str:
    return "https" if line["frontend"].endswith("~") else "http"


def _action(ended: str, status: int | None) -> Action:
    if status == 407:
        return "challenged"
    # The proxy itself ended it; with 403 a rule of its own did.
    if ended[0] == "P":
        return "blocked" if status in (401, 403, 429) else "failed"
    return "failed" if _not_reached(ended) else "allowed"


def _not_reached(ended: str) -> bool:
    return ended[0] != "-" and ended[1] in _NOT_REACHED


def _time(written: str, clock: Clock) -> datetime:
    try:
        return clock.local(datetime.strptime(written, "%d/%b/%Y:%H:%M:%S.%f"))  # noqa: DTZ007 - the clock knows the zone
    except (ValueError, OverflowError) as error:
        raise Malformed(f"no time: {written!r}") from error


def _unescaped(text: str) -> str:
    return str(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)) if "#" in text else text


FORMAT = LogFormat(
    name="haproxy",
    title="HAProxy HTTP, HTTPS and TCP logs",
    reference="https://docs.haproxy.org/2.6/configuration.html#8.2",
    recognise=recognise,
    parse=parse,
    signs=(b"] ",),
    yields=("http_request", "proxy_connect", "tls_client_hello", "flow"),
    tested_with="HAProxy 2.6.12",
)
