"""The audit log of Windows' DHCP server (`DhcpSrvLog-Mon.log`).

    ID,Date,Time,Description,IP Address,Host Name,MAC Address,User Name, TransactionID, …
    10,09/29/26,00:00:04,Assign,10.0.0.5,host.corp.local,A0B1C2D3E4F5,,…

Times are the server's own, month first unless dots or a day above 12 say otherwise. How long a lease is granted is not said.

Reference: https://learn.microsoft.com/previous-versions/windows/it-pro/windows-server-2008-r2-and-2008/dd183591(v=ws.10)
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from datetime import datetime, tzinfo

from sentinel.formats.clock import StreamClock
from sentinel.formats.format import Malformed
from sentinel.identity.binding import Binding, hardware
from sentinel.identity.leaselog import Event, fold
from sentinel.observation import ip_address

LINE = re.compile(r"^(\d\d),(\d\d)([/.-])(\d\d)[/.-](\d{2}|\d{4}),(\d\d):(\d\d):(\d\d),([^,\r\n]*),([^,\r\n]*),", re.MULTILINE)
HEADER = re.compile(r"^ID,Date,Time,[^,\r\n]*,", re.MULTILINE)

NEW, RENEWED = "10", "11"
OVER = frozenset({"12", "16", "17", "18"})
"""Released, deleted, expired, expired and deleted."""


def is_log(text: str) -> bool:
    """Return whether *text* is such a log."""
    first = LINE.search(text)
    return first is not None and (HEADER.search(text) is not None or ip_address(first[10]) is not None)


def log(name: str, text: str, zone: tzinfo) -> list[Binding]:
    """Return what the log proves; its times are in *zone*."""
    clock = StreamClock(zone, None)
    lines = list(LINE.finditer(text))
    day_first = any(line[3] == "." or int(line[2]) > 12 for line in lines) and not any(int(line[4]) > 12 for line in lines)
    events: list[Event] = []
    for line in lines:
        end = text.find("\n", line.start())
        record = text[line.start() : end if end >= 0 else None].rstrip("\r")
        events += _events(line, record, clock, day_first=day_first)
    return fold(events, name)


def _events(line: re.Match[str], record: str, clock: StreamClock, *, day_first: bool) -> Sequence[Event]:
    what = line[1]
    if what not in OVER and what not in (NEW, RENEWED):
        return ()
    try:
        cells = next(csv.reader([record]))
    except csv.Error:
        return ()
    address = ip_address(cells[4])
    mac = hardware(cells[6]) if len(cells) > 6 else None
    if address is None or mac is None:
        return ()
    day, month = (line[2], line[4]) if day_first else (line[4], line[2])
    year = int(line[5]) + (2000 if len(line[5]) == 2 else 0)
    try:
        time = clock.local(datetime(year, int(month), int(day), int(line[6]), int(line[7]), int(line[8])))  # noqa: DTZ001
    except (ValueError, Malformed):
        return ()
    if what in OVER:
        return (Event("end", time, mac, address),)
    held = Event("ack", time, mac, address, cells[5].rstrip(".") or None, None, record)
    return (Event("asks", time, mac), held) if what == NEW else (held,)
