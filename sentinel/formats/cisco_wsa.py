r"""Cisco Secure Web Appliance (WSA, AsyncOS), access logs: Squid's columns, then the decision and the scanners' verdicts.

    1649097617.352 382 10.0.0.13 TCP_MISS_SSL/200 4646 GET https://pimeyes.com:443/ "DOM\alice@realm" DIRECT/pimeyes.com -
        DEFAULT_CASE_12-Policy-Identity-NONE-NONE-NONE-NONE <IW_srch,6.9,...> -

The first word of the decision tells whether the request was let through. The line is written when the transaction ended.

Reference: https://www.cisco.com/c/en/us/td/docs/security/wsa/ (AsyncOS guide, "Monitor System Activity Through Logs")
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sentinel.formats.format import LogFormat, Malformed, Stream, as_text, utc_from_epoch
from sentinel.formats.pattern import Pattern
from sentinel.formats.proxied import squid_action, started, target
from sentinel.observation import Action, Observation, ip_address

_LINE = Pattern(
    r"(?P<secs>\d{9,11})\.(?P<ms>\d{3}) +(?P<took>-?\d{1,12}) (?P<client>\S{1,255}) (?P<result>[A-Z][A-Z_]{1,40})/"
    r'(?P<status>\d{3}) (?P<size>\d{1,18}) (?P<method>[^\s"]{1,64}) (?P<url>\S+) (?P<user>"[^"]{0,1000}"|\S{1,1000}) '
    r"(?P<peer>[A-Z_]{1,40}/\S{1,255}) (?P<type>\S{1,255}) (?P<tag>[A-Z][A-Z0-9_]{2,40}(?:-\S{0,2000})?) (?:<|&lt;)",
    re.ASCII,
)
_BEGIN = Pattern(r"(?:\A|[ >])(?=\d{9,11}\.\d{3} )", re.ASCII)
_HOST = Pattern(r"(?:<\d{1,3}>)? ?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?P<host>[^\s:]{1,255}) ", re.ASCII)
_FRONT = 300
"""Characters in which the line has to begin: syslog and the appliance's own "Info: " stand before it."""


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that look like this format, 0.0 to 1.0."""
    return sum(_matched(as_text(record)) is not None for record in records) / max(1, len(records))


def parse(record: bytes, _stream: Stream) -> Sequence[Observation]:
    """Read one line. The size is what went to the client; what came from it is not among the fixed columns.

    Raises:
        Malformed: Another shape, or a time that no date can hold.
    """
    text = as_text(record)
    line = _matched(text)
    if line is None:
        raise Malformed("no 'time took client result/status bytes method url user peer type decision <verdicts>'")
    tunnel = line["method"] == "CONNECT" or line["url"].startswith("tunnel://")
    asked = target("CONNECT" if tunnel else line["method"], line["url"])
    if asked is None:
        return ()
    begun, duration = started(utc_from_epoch(int(line["secs"]), int(line["ms"]) * 1000), int(line["took"]))
    action = _action(line)
    user = line["user"].strip('"')
    named = None if user in ("-", "") else user
    host = _HOST.match(text)
    return (
        Observation(
            time=begun,
            time_text=f"{line['secs']}.{line['ms']}",
            kind="proxy_connect" if tunnel else "http_request",
            client=line["client"],
            device=None if ip_address(line["client"]) else line["client"],
            user=None if action == "challenged" else named,
            claimed_user=named if action == "challenged" else None,
            server=ip_address(line["peer"].partition("/")[2]) if line["peer"].startswith("DIRECT/") else None,
            server_port=asked.port,
            name=asked.name,
            url=line["url"],
            path=asked.path,
            query=asked.query,
            method=line["method"],
            status=int(line["status"]),
            bytes_down=int(line["size"]),
            duration=duration,
            action=action,
            resolver=host["host"] if host else None,
        ),
    )


def _matched(text: str) -> re.Match[str] | None:
    begin = _BEGIN.search(text[:_FRONT])
    return _LINE.match(text, begin.end()) if begin else None


def _action(line: re.Match[str]) -> Action | None:
    status = int(line["status"])
    if status == 407:
        return "challenged"
    return "blocked" if line["tag"].startswith("BLOCK") else squid_action(line["result"], status)


FORMAT = LogFormat(
    name="cisco-wsa",
    title="Cisco Secure Web Appliance access log",
    reference="https://www.cisco.com/c/en/us/td/docs/security/wsa/",
    recognise=recognise,
    signs=(b" <", b" &lt;"),
    parse=parse,
    yields=("http_request", "proxy_connect"),
)
