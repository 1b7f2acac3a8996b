"""Unbound's log of queries and replies (`log-queries`, `log-replies`), local actions (`log-local-actions`) and RPZ (`rpz-log`).

    [1795410884] unbound[13693:1] info: 10.20.30.11 pimeyes.com. A IN
    [1795410884] unbound[13693:1] info: 10.20.30.11 pimeyes.com. A IN NOERROR 0.000724 0 60
    [1795410884] unbound[13693:1] info: rpz: applied [own] pimeyes.com. rpz-nxdomain 10.20.30.11@47430 pimeyes.com. A IN

Dots inside labels, blanks and brackets are written "?": such a name cannot be matched.

Reference: https://unbound.docs.nlnetlabs.nl/en/latest/manpages/unbound.conf.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sentinel.formats.envelope import peel
from sentinel.formats.format import Clock, LogFormat, Malformed, Stream, as_text
from sentinel.formats.pattern import Pattern
from sentinel.formats.times import ISO, MONTH_FIRST, epoch_time, read_time
from sentinel.observation import Action, Kind, Observation, ip_address

_THREAD = r"\[\d+:[0-9a-f]+\] (?P<level>[a-z]+): "
_FILE = Pattern(rf"(?:\[(?P<epoch>\d{{1,11}}(?:\.\d{{1,9}})?)\]|(?P<time>{MONTH_FIRST}|{ISO})) unbound{_THREAD}", re.ASCII)
_SYSLOG = Pattern(_THREAD, re.ASCII)
_ADDRESS = r"[0-9A-Fa-f.:]{2,45}(?:%[\w.-]+)?"
_QUESTION = r"(?P<name>\S+) (?P<type>[A-Z][A-Z0-9-]*) (?:IN|CH|HS|ANY|NONE|CLASS\d+)"
_ACCESS = Pattern(
    rf"(?P<client>{_ADDRESS}) {_QUESTION}(?: (?P<rcode>[A-Z]+\d*) (?P<took>\d{{1,6}}\.\d{{1,9}}) [01] \d+"
    rf"(?: on [a-z]+ (?P<server>{_ADDRESS}) (?P<server_port>\d{{1,5}}))?)?\Z",
    re.ASCII,
)
_DECIDED = Pattern(
    rf"(?:rpz: applied (?:\[[^\]]*\] )?)?(?:\S+ )?(?P<what>[a-z][a-z0-9_-]*) "
    rf"(?P<client>{_ADDRESS})@(?P<port>\d{{1,5}}) {_QUESTION}\Z",
    re.ASCII,
)
_LETS_PASS = frozenset(
    [
        "inform",
        "nodefault",
        "transparent",
        "typetransparent",
        "always_transparent",
        "noview",
        "truncate",
        "ipset",
        "rpz-passthru",
        "rpz-disabled",
        "rpz-tcp-only",
        "rpz-tcp-only-action",
    ]
)
_REFUSES = frozenset(
    [
        "deny",
        "refuse",
        "static",
        "redirect",
        "block_a",
        "always_nxdomain",
        "always_nodata",
        "always_null",
        "always_refuse",
        "always_deny",
        "inform_deny",
        "inform_redirect",
        "rpz-nxdomain",
        "rpz-nodata",
        "rpz-drop",
        "rpz-local-data",
        "rpz-cname-override",
    ]
)
_LEVELS = frozenset(["info", "query", "reply", "notice", "warning", "error", "debug", "fatal"])


class _Head(NamedTuple):
    level: str
    epoch: str | None
    time_text: str | None
    host: str | None
    message: str


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that Unbound wrote, 0.0 to 1.0."""
    return sum(_head(as_text(record)) is not None for record in records) / max(1, len(records))


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one line. A query, what was decided of it, and its reply are up to three records of one access.

    Raises:
        Malformed: Not a line of Unbound's.
    """
    head = _head(as_text(record))
    if head is None:
        raise Malformed("no 'TIME unbound[PID:THREAD] LEVEL: ...'")
    if head.level not in ("info", "query", "reply"):
        return ()
    for pattern, observed in ((_ACCESS, _access), (_DECIDED, _decided)):
        found = pattern.match(head.message)
        if found is not None:
            return (observed(found, head, stream.clock),) if ip_address(found["client"]) else ()
    return ()  # statistics, start-up, its own look-ups


def _time(head: _Head, clock: Clock) -> datetime:
    if head.epoch:
        return epoch_time(head.epoch)
    return read_time(head.time_text, clock) if head.time_text else clock.undated()


def _head(text: str) -> _Head | None:
    """Return what stands before the message of a line of Unbound's, None for another's line."""
    line = _FILE.match(text)
    if line is not None:
        head = _Head(line["level"], line["epoch"], line["time"], None, text[line.end() :])
    else:
        peeled = peel(text)
        inner = _SYSLOG.match(peeled.message) if peeled.program == "unbound" else None
        if inner is None:
            return None
        head = _Head(inner["level"], None, peeled.time_text, peeled.host, peeled.message[inner.end() :])
    return head if head.level in _LEVELS else None


def _access(found: re.Match[str], head: _Head, clock: Clock) -> Observation:
    kind: Kind = "dns_query" if found["rcode"] is None else "dns_answer"
    return Observation(
        time=_time(head, clock),
        time_text=head.epoch or head.time_text,
        kind=kind,
        client=found["client"],
        server=found["server"],
        server_port=int(found["server_port"]) if found["server_port"] else None,
        name=found["name"],
        query_type=found["type"],
        duration=float(found["took"]) if found["took"] else None,
        action="blocked" if found["rcode"] == "REFUSED" else None,
        resolver=head.host,
    )


def _decided(found: re.Match[str], head: _Head, clock: Clock) -> Observation:
    what = found["what"]
    action: Action | None = "allowed" if what in _LETS_PASS else "blocked" if what in _REFUSES else None
    return Observation(
        time=_time(head, clock),
        time_text=head.epoch or head.time_text,
        kind="dns_answer",
        client=found["client"],
        client_port=int(found["port"]),
        name=found["name"],
        query_type=found["type"],
        action=action,
        resolver=head.host,
    )


FORMAT = LogFormat(
    name="unbound",
    title="Unbound query and reply log",
    reference="https://unbound.docs.nlnetlabs.nl/en/latest/manpages/unbound.conf.html",
    recognise=recognise,
    signs=(b"unbound",),
    parse=parse,
    yields=("dns_query", "dns_answer"),
    tested_with="Unbound 1.17.1 and 1.26.2",
)
