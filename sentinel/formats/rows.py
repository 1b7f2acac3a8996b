"""Rows of databases, one JSON object each: Pi-hole's queries, and the visits that browsers keep.

    {"id":7,"timestamp":1795411169,"type":1,"status":2,"domain":"pimeyes.com","client":"10.20.30.11"}
    {"id":7,"visit_time":13330000000000000,"url":"https://pimeyes.com/en","transition":805306368}
    {"id":7,"visit_date":1795411169000000,"url":"https://pimeyes.com/en","visit_type":1}

What people export with `sqlite3 -json` and a column of these names reads the same. A browser names neither the machine nor
the person: the file's path may.

References: https://docs.pi-hole.net/database/query-database/ (types and states),
https://chromium.googlesource.com/chromium/src/+/main/ui/base/page_transition_types.h,
https://searchfox.org/mozilla-central/source/toolkit/components/places/nsINavHistoryService.idl
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.formats.proxied import target
from sentinel.observation import Action, Observation

TYPES = (
    "", "A", "AAAA", "ANY", "SRV", "SOA", "PTR", "TXT", "NAPTR", "MX", "DS", "RRSIG", "DNSKEY", "NS", "OTHER", "SVCB", "HTTPS",
)  # fmt: skip
OTHER_TYPE = 100
"""Types above are this much more than the DNS's own number."""

BLOCKED = frozenset({1, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 18})
ALLOWED = frozenset({2, 3, 12, 13, 17})

FRAMES = frozenset({3, 4})
"""Chrome's transitions of what a page loads into a frame: nobody went there."""

EMBEDDED = frozenset({4, 8})
"""Firefox's types of the same."""

_1601 = datetime(1601, 1, 1, tzinfo=UTC)
_1970 = datetime(1970, 1, 1, tzinfo=UTC)

Row = Mapping[str, Any]


def _row(record: bytes, keys: frozenset[str]) -> Row | None:
    """Return the row that *record* is, None when it is no object with *keys*."""
    if not record.lstrip().startswith(b"{"):
        return None
    try:
        row = json.loads(as_text(record))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and keys <= row.keys() else None


def _format(
    name: str,
    title: str,
    reference: str,
    kind: str,
    keys: frozenset[str],
    read: Callable[[Row], Observation | None],
    tested: str,
) -> LogFormat:
    def recognise(records: Sequence[bytes]) -> float:
        return sum(_row(record, keys) is not None for record in records) / max(1, len(records))

    def parse(record: bytes, stream: Stream) -> Sequence[Observation]:  # noqa: ARG001 - these say the time in full
        row = _row(record, keys)
        if row is None:
            raise Malformed(f"no JSON object with {', '.join(sorted(keys))}")
        seen = read(row)
        return () if seen is None else (seen,)

    sign = f'"{max(keys, key=len)}"'.encode()
    return LogFormat(
        name=name,
        title=title,
        reference=reference,
        spelling="json",
        recognise=recognise,
        parse=parse,
        signs=(sign,),
        yields=(kind,),
        made_as="reader",
        tested_with=tested,
    )


def _query(row: Row) -> Observation | None:
    client, status = row["client"], row["status"]
    time = _time(row["timestamp"], _1970, 1)
    if not isinstance(client, str) or not isinstance(row["domain"], str):
        raise Malformed("client and domain are no texts")
    action: Action | None = "blocked" if status in BLOCKED else "allowed" if status in ALLOWED else None
    hidden = client == "0.0.0.0" or row["domain"] == "hidden"  # noqa: S104 - the privacy level withholds who it was
    return Observation(
        time=time,
        time_text=str(row["timestamp"]),
        kind="dns_query",
        client=None if hidden else client,
        name=row["domain"],
        query_type=_type(row["type"]),
        action=action,
    )


def _type(number: Any) -> str | None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        return None
    if number > OTHER_TYPE:
        return f"TYPE{number - OTHER_TYPE}"
    return TYPES[number] if number < len(TYPES) else None


def _chrome(row: Row) -> Observation | None:
    transition = row["transition"]
    framed = isinstance(transition, int) and transition & 0xFF in FRAMES
    return _visit(row["url"], row["visit_time"], _1601) if not framed else None


def _firefox(row: Row) -> Observation | None:
    return _visit(row["url"], row["visit_date"], _1970) if row["visit_type"] not in EMBEDDED else None


def _visit(url: Any, microseconds: Any, epoch: datetime) -> Observation | None:
    if not isinstance(url, str):
        raise Malformed("the URL is no text")
    time = _time(microseconds, epoch, 1_000_000)
    wanted = target("", url) if url.lower().startswith(("http://", "https://")) else None
    if wanted is None:  # file:, chrome:, about:, data:
        return None
    return Observation(
        time=time,
        time_text=str(microseconds),
        kind="http_request",
        name=wanted.name,
        server_port=wanted.port,
        url=url,
        path=wanted.path,
        query=wanted.query,
    )


def _time(value: Any, epoch: datetime, a_second: int) -> datetime:
    """Return the UTC time that lies *value* after *epoch*, in units of which *a_second* are one."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Malformed(f"no time: {str(value)[:40]!r}")
    try:
        whole, rest = divmod(value, a_second)
        return epoch + timedelta(seconds=whole, microseconds=rest * 1_000_000 // a_second)
    except OverflowError as error:
        raise Malformed(f"the time {str(value)[:40]}: {error}") from error


FORMATS = (
    _format(
        "pihole-ftl",
        "Pi-hole FTL database",
        "https://docs.pi-hole.net/database/query-database/",
        "dns_query",
        frozenset({"timestamp", "type", "status", "domain", "client"}),
        _query,
        "samples only",
    ),
    _format(
        "chrome-history",
        "History of Chrome, Edge and other Chromium browsers",
        "https://chromium.googlesource.com/chromium/src/+/main/components/history/core/browser/visit_database.cc",
        "http_request",
        frozenset({"visit_time", "url", "transition"}),
        _chrome,
        "Chromium 156",
    ),
    _format(
        "firefox-history",
        "History of Firefox (places.sqlite)",
        "https://searchfox.org/mozilla-central/source/toolkit/components/places/nsPlacesTables.h",
        "http_request",
        frozenset({"visit_date", "url", "visit_type"}),
        _firefox,
        "Firefox ESR 153",
    ),
)
