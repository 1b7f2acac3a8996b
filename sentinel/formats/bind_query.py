"""BIND 9's query log, with or without the print-* options, and what it writes of queries that it refused or rewrote.

    23-Nov-2026 06:13:40.060 queries: info: client @0x7f 192.0.2.7#39213 (pimeyes.com): query: pimeyes.com IN A + (10.20.30.53)

A query line is written before the answer: an attempt to resolve, not proof of success.

Reference: https://bind9.readthedocs.io/en/latest/reference.html#logging-block-grammar
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sentinel.formats.envelope import peel
from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.formats.names import written_name
from sentinel.formats.nios import answered
from sentinel.formats.pattern import Pattern
from sentinel.formats.times import DAY_FIRST, ISO, MONTH_FIRST, read_time
from sentinel.observation import Action, Kind, Observation

_CATEGORY = r"[a-z][a-z-]{2,24}: "
_SEVERITY = r"(?:debug \d{1,2}|debug|info|notice|warning|error|critical): "
_CLIENT = Pattern(
    rf"(?:infoblox-responses: )?(?:(?P<time>{DAY_FIRST}|{ISO}|{MONTH_FIRST}) )?(?:{_CATEGORY})?(?:{_SEVERITY})?"
    r"client (?:@0x[0-9a-f]+ )?(?P<client>[0-9A-Fa-f.:]{2,45}(?:%[\w.-]+)?)#(?P<port>\d{1,5})(?=[/ :])",
    re.ASCII,
)
_MESSAGE = Pattern(
    rf"(?:{DAY_FIRST} (?:{_CATEGORY})?(?:{_SEVERITY})?|{ISO} {_CATEGORY}{_SEVERITY}|{_CATEGORY}{_SEVERITY})", re.ASCII
)
_CLASS = r"(?:IN|CH|CHAOS|HS|HESIOD|ANY|NONE|CLASS\d{1,5})"
_QUERY = Pattern(
    rf"(?P<name>.+) {_CLASS} (?P<type>[A-Z][A-Z0-9-]*)(?: (?P<rcode>[A-Z]+) \d+ \d+ \d+)?(?: [+-]\S{{0,40}})?"
    r"(?: \((?P<server>[0-9A-Fa-f.:]{2,45})(?:%[\w.-]{1,20})?(?:#\d{1,5})?\))?(?: ?\[ECS [0-9A-Fa-f.:/]{1,60}\])?(?: .*)?\Z",
    re.ASCII,
)
_DENIED = Pattern(rf"(?:\(cache\) )?'(?P<name>.+)/(?P<type>[A-Z][A-Z0-9-]*)/{_CLASS}' denied", re.ASCII)
_FAILED = Pattern(rf"\((?P<rcode>[A-Z]+)\) for (?P<name>.+)/{_CLASS}/(?P<type>[A-Z][A-Z0-9-]*) at ", re.ASCII)
_REWRITE = Pattern(rf"[A-Z-]+ (?P<policy>[\w-]+) rewrite (?P<name>.+)/(?P<type>[A-Z][A-Z0-9-]*)/{_CLASS} via ", re.ASCII)
_SAID: dict[str, tuple[Pattern, Kind]] = {
    "query: ": (_QUERY, "dns_query"),
    "response: ": (_QUERY, "dns_answer"),
    "query ": (_DENIED, "dns_answer"),
    "query failed ": (_FAILED, "dns_answer"),
    "rpz ": (_REWRITE, "dns_answer"),
    "disabled rpz ": (_REWRITE, "dns_answer"),
}
_WHAT = Pattern(r": (query: |response: |query failed |query (?=\(cache\) '|')|disabled rpz |rpz )", re.ASCII)
_LETS_PASS = frozenset({"PASSTHRU", "TCP-Only"})


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that BIND wrote, 0.0 to 1.0; 0.0 also when none of them tells of a client."""
    own = asks = 0
    for record in records:
        asks_here, own_here = _looks(as_text(record))
        asks += asks_here
        own += own_here
    return own / len(records) if asks else 0.0


def _looks(text: str) -> tuple[bool, bool]:
    """Return whether a line tells of a client, and whether it is a line of BIND's at all."""
    if _CLIENT.match(text):
        return True, True
    peeled = peel(text)
    if peeled.time_text is None:
        return False, bool(_MESSAGE.match(text))
    asks = _CLIENT.match(peeled.message) is not None
    return asks, asks or peeled.program == "named"


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one line. A refused or rewritten query has its query line too: the other line is its answer.

    Raises:
        Malformed: Not a line of BIND's, or one that breaks off.
    """
    text = as_text(record)
    message, time_text, resolver = text, None, None
    head = _CLIENT.match(text)
    if head is None:
        peeled = peel(text)
        message, time_text, resolver = peeled.message, peeled.time_text, peeled.host
        head = _CLIENT.match(message)
    if head is None:
        if peeled.program == "named" or (peeled.time_text is None and _MESSAGE.match(text)):
            return ()
        raise Malformed("no 'client ADDRESS#PORT (NAME): ...'")
    what = _WHAT.search(message, head.end())
    if what is None:
        return ()  # a zone transfer, an update, a notify
    time_text = head["time"] or time_text
    return _told(message, head, what, time_text, resolver, stream)


def _told(
    message: str, head: re.Match[str], what: re.Match[str], time_text: str | None, resolver: str | None, stream: Stream
) -> Sequence[Observation]:
    told = answered(message[head.end() + 1 :]) or _of_bind(message, what)
    return (
        Observation(
            time=read_time(time_text, stream.clock) if time_text else stream.clock.undated(),
            time_text=time_text,
            client=head["client"],
            client_port=int(head["port"]),
            resolver=resolver,
            **told,
        ),
    )


def _of_bind(message: str, what: re.Match[str]) -> dict[str, Any]:
    pattern, kind = _SAID[what[1]]
    said = pattern.match(message, what.end())
    if said is None:
        raise Malformed(f"no name, class and type after {what[1].strip()!r}")
    found = said.groupdict()
    return {
        "kind": kind,
        "server": found.get("server"),
        "name": written_name(found["name"]),
        "query_type": found["type"],
        "action": _action(what[1], found),
    }


def _action(word: str, found: dict[str, str | None]) -> Action | None:
    if word == "rpz ":
        return "allowed" if found["policy"] in _LETS_PASS else "blocked"
    if word == "disabled rpz ":
        return "allowed"
    return "blocked" if word == "query " or found.get("rcode") == "REFUSED" else None


FORMAT = LogFormat(
    name="bind-query",
    title="BIND 9 query log, and Infoblox NIOS with its responses",
    reference="https://bind9.readthedocs.io/en/latest/reference.html#logging-block-grammar",
    recognise=recognise,
    signs=(b"client ",),
    parse=parse,
    yields=("dns_query", "dns_answer"),
    tested_with="BIND 9.18.49 and 9.20.30",
)
