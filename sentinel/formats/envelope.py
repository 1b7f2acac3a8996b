"""What syslog senders, relays and collectors write before a record: taken off here, its host and time kept.

    <134>Nov 23 06:13:40 ns1 named[12329]: ...                           RFC 3164; in rsyslog's files without <PRI>
    <134>1 2026-11-23T06:13:40.063624+01:00 ns1 named 12329 - - ...      RFC 5424
    2026-11-23T06:13:40.063624+01:00 ns1 named[12329]: ...               rsyslog's file format

Reference: RFC 3164 section 4.1, RFC 5424 section 6, RFC 6587 section 3.4.1 (the octet count before it),
https://www.rsyslog.com/doc/configuration/templates.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sentinel.formats.pattern import Pattern
from sentinel.formats.times import ISO, MONTH_FIRST

RELAYS = 3
"""A record is relayed once or twice; more headers than this are somebody's payload."""

_PRI = r"(?:\d{1,6} (?=<))?(?:<\d{1,3}>)?"
_RFC5424 = Pattern(
    rf"{_PRI}1 (?P<time>-|{ISO}) (?P<host>\S+) (?P<program>\S+) \S+ \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: |\Z)", re.ASCII
)
_NO_PROGRAM = r"(?!\d{4}-\d\d-\d\dT|[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{0,4}:)"
"""Where a program's name would stand, the record itself may begin with a time or an IPv6 address."""
# A host has no brackets and no final colon, so that in a header without one the program is not taken for it. A relay may
# put a second header straight behind its own time and host, without a program.
_RFC3164 = Pattern(
    rf"{_PRI}[*.]?(?P<time>{MONTH_FIRST}|{ISO}):? (?:(?P<host>[^\s\[\]]*[^\s\[\]:]) )?"
    rf"(?:{_NO_PROGRAM}(?P<program>[^\s:\[\]\"{{}}=,]+)(?:\[[^\s\]]*\])?:(?: |(?!\d{{1,5}} ))|(?=<\d{{1,3}}>))",
    re.ASCII,
)

# What is behind such a beginning may be a program's name or the record itself: only who reads it can tell.
_WITHOUT_PROGRAM = Pattern(rf"{_PRI}[*.]?(?:{MONTH_FIRST}|{ISO}):? [\w.:-]{{1,255}}:? +(?=\S)", re.ASCII)
_PRIORITY = Pattern(r"(?:\d{1,6} (?=<))?<\d{1,3}>(?=\S)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A record without its envelope. The innermost header counts: it is the device's own, those before it the relays'."""

    message: str
    time_text: str | None = None  # None: the header says "-", or there is none
    host: str | None = None
    program: str | None = None


def peel(text: str) -> Envelope:
    """Take off all syslog headers; a text that has none comes back as its own message."""
    peeled = Envelope(text)
    for _ in range(RELAYS):
        header = _RFC5424.match(peeled.message) or _RFC3164.match(peeled.message)
        if header is None:
            break
        time, host, program = (None if header[part] == "-" else header[part] for part in ("time", "host", "program"))
        rest = peeled.message[header.end() :].lstrip(" \ufeff")
        peeled = Envelope(rest, time or peeled.time_text, host or peeled.host, program)
    return peeled


def bared(text: str) -> Iterator[str]:
    """Yield what is behind one header, two, and so on; then behind one without a program, and behind a priority alone.

    A record may begin with what looks like a header and is its own, so that whoever knows its format has to choose.
    """
    rest = text
    for _ in range(RELAYS):
        header = _RFC5424.match(rest) or _RFC3164.match(rest)
        if header is None:
            break
        rest = rest[header.end() :].lstrip(" \ufeff")
        yield rest
    for pattern in (_WITHOUT_PROGRAM, _PRIORITY):
        begins = pattern.match(rest)
        if begins:
            yield rest[begins.end() :]


def bared_records(record: bytes) -> Iterator[bytes]:
    """Yield what `bared` does, of a record's bytes."""
    for text in bared(record.decode("utf-8", "surrogateescape")):
        yield text.encode("utf-8", "surrogateescape")
