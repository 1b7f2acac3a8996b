r"""Apache's and nginx's access logs in their usual forms: common, combined, with the virtual host before and bytes behind.

    10.0.0.5 - alice [23/Nov/2026:06:21:27 +0100] "CONNECT pimeyes.com:443 HTTP/1.1" 200 - "-" "Mozilla/5.0" 917 1715

Only a line whose request names a site, in full or to CONNECT to, tells of an access through a proxy; `GET /` is one to the
server itself. Apache writes when a request began, nginx when it ended, and the lines are alike.

Reference: https://httpd.apache.org/docs/2.4/mod/mod_log_config.html, https://nginx.org/en/docs/http/ngx_http_log_module.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from sentinel.formats.envelope import peel
from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.formats.pattern import Pattern
from sentinel.formats.proxied import target, tunnel_action
from sentinel.formats.template import unquoted
from sentinel.observation import Action, Observation, ip_address

TIME = "%d/%b/%Y:%H:%M:%S %z"
_QUOTED = r"(?>(?:[^\"\\]|\\.)*)"
# A syslog header in front would be taken for client, ident and user.
_NO_HEADER = r"(?!<\d{1,3}>|[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:|\d{4}-\d\d-\d\d[T ]\d\d:|\d{1,6} <)"
_LINE = Pattern(
    _NO_HEADER + r"(?:(?P<host>[^\s:\"\[\]]{1,255}:\d{1,5}) )?(?P<client>[^\s\"\[]{1,255}) [^\s\"\[]{1,255} "
    r"(?P<user>(?>(?:(?! \[\d\d/).)*)) \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    rf'"(?P<request>{_QUOTED})" (?P<status>\d{{3}}|-) (?P<size>\d{{1,19}}|-)'
    rf'(?: "{_QUOTED}" "(?P<agent>{_QUOTED})"(?P<rest>(?: (?:"{_QUOTED}"|[\d.]{{1,20}}|-))*+))?\s{{0,8}}\Z',
    re.ASCII,
)
_BYTES = Pattern(r" (\d{1,19}) (\d{1,19})\Z", re.ASCII)
_REQUEST = Pattern(r"(?P<method>[A-Z][A-Z_-]{1,30}) (?P<url>\S+)(?: HTTP/\d(?:\.\d)?)?\Z", re.ASCII)


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that look like this format, 0.0 to 1.0."""
    return sum(_split(as_text(record)) is not None for record in records) / max(1, len(records))


def parse(record: bytes, _stream: Stream) -> Sequence[Observation]:
    """Read one line. What the client sent is told only where both counts of bytes stand at the end (mod_logio).

    Raises:
        Malformed: Another shape, or a time that no date can hold.
    """
    found = _split(as_text(record))
    if found is None:
        raise Malformed("no 'client ident user [time] \"request\" status bytes'")
    line, resolver = found
    time = _time(line["time"])
    request = _REQUEST.match(unquoted(line["request"]))
    asked = target(request["method"], request["url"]) if request else None
    if request is None or asked is None:
        return ()
    connect = request["method"] == "CONNECT"
    status = None if line["status"] == "-" else int(line["status"])
    user = unquoted(line["user"])
    named = None if user in ("-", '""', "") else user
    up, down = _bytes(line)
    answered: Action | None = "challenged" if status == 407 else None
    return (
        Observation(
            time=time,
            time_text=line["time"],
            kind="proxy_connect" if connect else "http_request",
            client=line["client"],
            device=None if ip_address(line["client"]) else line["client"],
            # Refused for want of a valid log-in, the line names whom the client said it was.
            user=None if status in (401, 407) else named,
            claimed_user=named if status in (401, 407) else None,
            server_port=asked.port,
            name=asked.name,
            url=request["url"],
            path=asked.path,
            query=asked.query,
            method=request["method"],
            status=status,
            user_agent=None if line["agent"] in (None, "-", "") else unquoted(line["agent"]),
            bytes_up=up,
            bytes_down=down,
            action=tunnel_action(status) if connect else answered,
            resolver=resolver,
        ),
    )


def _split(text: str) -> tuple[re.Match[str], str | None] | None:
    peeled = peel(text)
    line = _LINE.match(peeled.message)
    return (line, peeled.host) if line else None


def _time(written: str) -> datetime:
    try:
        return datetime.strptime(written, TIME).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"no time: {written!r}") from error


def _bytes(line: re.Match[str]) -> tuple[int | None, int | None]:
    """Return what went up and down. Two numbers at the end are counts only where the second can hold the body."""
    body = None if line["size"] == "-" else int(line["size"])
    counts = _BYTES.fullmatch(line["rest"] or "")
    if counts is None or int(counts[2]) < (body or 0):
        return None, body
    return int(counts[1]), int(counts[2])


FORMAT = LogFormat(
    name="access-log",
    title="Apache and nginx access log, common and combined",
    reference="https://httpd.apache.org/docs/2.4/mod/mod_log_config.html",
    spelling="zeek",  # it escapes bytes in the same way
    recognise=recognise,
    signs=(b'] "',),
    parse=parse,
    yields=("http_request", "proxy_connect"),
    tested_with="Apache 2.4.71; recordings of nginx 1.22",
)
