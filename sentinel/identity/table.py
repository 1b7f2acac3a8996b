"""A table that people make: who had which address.

    address,user,device,mac,from,until
    10.20.3.4,ebert,pc-0815,02:aa:bb:00:00:01,2026-03-01 08:00,2026-03-01T16:30:00Z

The first row names the columns, in any order: `address` and at least one of `user`, `device`, `mac`; `from` (inclusive) and
`until` (exclusive) are ISO 8601, in the zone of the investigation where they carry none. Without `from`, or where it is
empty, the table states that it was always so; without `until`, that it still is. Other columns are left alone.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from datetime import datetime, tzinfo

from sentinel.formats.clock import StreamClock
from sentinel.formats.format import Malformed
from sentinel.formats.times import ISO, read_time
from sentinel.identity.binding import ALWAYS, FOREVER, RECORD_KEPT, Binding, NotIdentity, hardware
from sentinel.observation import ip_address

SAID = 5
"""So many mistakes are told at once."""

_TIME = re.compile(ISO + r"\Z", re.ASCII)
_MINUTES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?=Z|[+-]|\Z)", re.ASCII)


def is_table(text: str) -> bool:
    """Return whether the first row names an `address` column and one that says who."""
    names = _names(text)
    return "address" in names and not names.isdisjoint({"user", "device", "mac"})


def read(name: str, text: str, zone: tzinfo) -> list[Binding]:
    """Return the table's claims; times without an offset are in *zone*.

    Raises:
        NotIdentity: Rows that cannot be right, with their lines: a claim lost in silence could blame somebody else.
    """
    clock = StreamClock(zone, None)
    claims, wrong = [], []
    reader = csv.reader(text.splitlines(), skipinitialspace=True)
    try:
        header = [cell.strip().lower() for cell in next(reader)]
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            cells = {key: cell.strip() for key, cell in zip(header, row, strict=False) if cell.strip()}
            try:
                claims.append(_claim(name, cells, ",".join(row)[:RECORD_KEPT], clock))
            except (ValueError, Malformed) as error:
                wrong.append(f"line {reader.line_num}: {error}")
    except csv.Error as error:
        raise NotIdentity(f"line {reader.line_num}: {error}") from error
    if wrong:
        more = f"; and {len(wrong) - SAID} more" if len(wrong) > SAID else ""
        raise NotIdentity("; ".join(wrong[:SAID]) + more)
    return claims


def _names(text: str) -> set[str]:
    try:
        return {cell.strip().lower() for cell in next(csv.reader(text.splitlines()[:1], skipinitialspace=True), [])}
    except csv.Error:
        return set()


def _claim(name: str, cells: Mapping[str, str], record: str, clock: StreamClock) -> Binding:
    address = ip_address(cells.get("address"))
    if address is None:
        raise ValueError(f"no IP address: {cells.get('address', '')[:40]!r}")
    mac = hardware(cells.get("mac"))
    if "mac" in cells and mac is None:
        raise ValueError(f"no hardware address: {cells['mac'][:40]!r}")
    user, device = cells.get("user"), cells.get("device")
    if not (user or device or mac):
        raise ValueError("names no user, device or mac")
    since = _time(cells["from"], clock) if "from" in cells else ALWAYS
    until = _time(cells["until"], clock) if "until" in cells else FOREVER
    if until <= since:
        raise ValueError("ends before it begins")
    return Binding(address, mac, device, user, since, until, "table", name, record)


def _time(text: str, clock: StreamClock) -> datetime:
    text = _MINUTES.sub(lambda found: found[0] + ":00", text)
    if _TIME.match(text) is None:
        raise ValueError(f"no time such as 2026-03-01 08:00: {text[:40]!r}")
    return read_time(text, clock)
