"""Zeek's dhcp.log, TSV and JSON, since 2.6 (a row for a conversation) and before (a row for an acknowledgement).

    #fields ts uids client_addr server_addr mac host_name client_fqdn domain requested_addr assigned_addr lease_time … msg_types
    {"ts":1575414483.7,"mac":"00:01:24:56:9b:cf","assigned_addr":"10.18.20.97","lease_time":3600.0,"msg_types":["REQUEST","ACK"]}

Reference: https://docs.zeek.org/en/master/scripts/base/protocols/dhcp/main.zeek.html
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sentinel.formats.format import Malformed, utc_from_epoch
from sentinel.identity.binding import RECORD_KEPT, Binding, hardware
from sentinel.identity.leaselog import Event, fold
from sentinel.observation import ip_address

PATH = re.compile(r"^#path\s+dhcp\S*\s*$", re.MULTILINE)
INFINITE = 0xFFFFF000
"""Seconds from which on a lease has no end (RFC 2131 has 0xffffffff; Zeek rounds it)."""

_KEYS = ("assigned_addr", "assigned_ip", "msg_types")


def is_log(text: str) -> bool:
    """Return whether *text* is such a log."""
    if text.startswith("#"):
        return PATH.search(text[:4000]) is not None
    first = text.lstrip()[:20_000].partition("\n")[0]
    return first.startswith("{") and '"mac"' in first and any(f'"{key}"' in first for key in _KEYS)


def log(name: str, text: str) -> list[Binding]:
    """Return what the log proves."""
    rows = _tsv(text) if text.startswith("#") else _json(text)
    return fold((event for row, record in rows for event in _events(row, record)), name)


def _tsv(text: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    fields: list[str] = []
    for line in text.split("\n"):
        if line.startswith("#fields"):
            fields = line.rstrip("\r").split("\t")[1:]
        elif fields and line and not line.startswith("#"):
            cells = line.rstrip("\r").split("\t")
            row = {key: cell for key, cell in zip(fields, cells, strict=False) if cell not in ("-", "(empty)")}
            yield {**row, "msg_types": row["msg_types"].split(",")} if "msg_types" in row else row, line


def _json(text: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    for line in text.split("\n"):
        try:
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            yield row, line


def _events(row: Mapping[str, Any], record: str) -> Sequence[Event]:
    time, mac = _time(row.get("ts")), hardware(_text(row.get("mac")))
    types = row.get("msg_types")
    said = [str(one) for one in types] if isinstance(types, list) else ["ACK"]
    if time is None or mac is None:
        return ()
    if "RELEASE" in said or "DECLINE" in said:
        address = ip_address(_text(row.get("client_addr")) or _text(row.get("requested_addr")))
        return (Event("end", time, mac, address),) if address else ()
    address = ip_address(_text(row.get("assigned_addr")) or _text(row.get("assigned_ip")))
    if address is None or "ACK" not in said or "INFORM" in said:
        return ()
    device = _text(row.get("host_name")) or _text(row.get("client_fqdn"))
    held = Event("ack", time, mac, address, device, _length(row.get("lease_time")), record[:RECORD_KEPT])
    return (Event("asks", time, mac), held) if "DISCOVER" in said else (held,)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: Any) -> datetime | None:
    try:
        if isinstance(value, str) and "T" in value:
            time = datetime.fromisoformat(value)
            return time if time.tzinfo else None
        seconds = float(value)
        if not math.isfinite(seconds):
            return None
        return utc_from_epoch(math.floor(seconds), int(seconds % 1 * 1_000_000))
    except (TypeError, ValueError, Malformed):
        return None


def _length(value: Any) -> timedelta | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return timedelta(seconds=seconds) if 0 < seconds < INFINITE else None
