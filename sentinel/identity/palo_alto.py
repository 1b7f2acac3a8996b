r"""Palo Alto Networks: User-ID mappings and GlobalProtect, as PAN-OS sends them (CSV), and as Cortex exports them (JSON).

    1,2024/03/09 08:27:54,0011…,USERID,login,2561,2024/03/09 08:27:54,vsys1,10.0.0.5,corp\jdoe,,0,1,10800,0,0,vpn-client,…
    1,2024/03/09 08:24:51,0011…,GLOBALPROTECT,0,2561,2024/03/09 08:24:51,vsys1,gateway-connected,connected,…,jdoe,DE,PC-1,…

Times of the CSV are the firewall's own, without a zone. A mapping is granted for its time-out, in seconds.

Reference: https://docs.paloaltonetworks.com/pan-os/11-1/pan-os-admin/monitoring/use-syslog-for-monitoring/syslog-field-descriptions
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from sentinel.formats.clock import StreamClock
from sentinel.formats.format import Malformed
from sentinel.identity.binding import Binding
from sentinel.identity.sessionlog import Word, fold
from sentinel.observation import ip_address

LINE = re.compile(r"(?<![\d,])\d?,\d{4}/\d\d/\d\d \d\d:\d\d:\d\d,[^,]*,(?:USERID|GLOBALPROTECT|SYSTEM,globalprotect),.*")
TIME = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)\Z", re.ASCII)
SAID = re.compile(r"User name: (?P<user>[^,]*), Private IP: (?P<ip>[^,]+),.*?(?:Device name: (?P<device>[^,]*),)?")
NO_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what they write for none
NO_USER = frozenset({"", "unknown", "pre-logon"})


def is_log(text: str) -> bool:
    """Return whether *text* has such records."""
    return LINE.search(text) is not None or re.search(r'"LogType"\s*:\s*"(?:GLOBALPROTECT|USERID)"', text) is not None


def log(name: str, text: str, zone: tzinfo) -> list[Binding]:
    """Return what the log proves; times without a zone are in *zone*."""
    clock = StreamClock(zone, None)
    userid: list[Word] = []
    vpn: list[Word] = []
    for record in (found[0].rstrip("\r") for found in LINE.finditer(text)):
        try:
            cells = next(csv.reader([record]))
        except csv.Error:
            continue
        if cells[3] == "USERID":
            userid += _userid(cells, record, clock)
        else:
            vpn += _globalprotect(cells, record, clock) if cells[3] == "GLOBALPROTECT" else _system(cells, record, clock)
    vpn += _exported(text)
    return fold(userid, name, "PAN User-ID") + fold(vpn, name, "GlobalProtect")


def _userid(cells: Sequence[str], record: str, clock: StreamClock) -> Sequence[Word]:
    if len(cells) < 14:
        return ()
    time, address, user = _time(cells[6] or cells[1], clock), ip_address(cells[8]), _user(cells[9])
    if time is None or address is None or user is None or cells[4] not in ("login", "logout"):
        return ()
    granted = timedelta(seconds=int(cells[13])) if re.fullmatch(r"[1-9]\d{0,8}", cells[13], re.ASCII) else None
    ends = cells[4] == "logout"
    return (Word(kind="ends" if ends else "holds", time=time, address=address, user=user, length=granted, record=record),)


def _globalprotect(cells: Sequence[str], record: str, clock: StreamClock) -> Sequence[Word]:
    if len(cells) < 29 or cells[28] != "success" or not cells[8].startswith("gateway-"):
        return ()
    said = {"event": cells[8], "user": cells[12], "device": cells[14], "record": record}
    return _tunnel(_time(cells[6] or cells[1], clock), (cells[17], cells[18]), said)


def _system(cells: Sequence[str], record: str, clock: StreamClock) -> Sequence[Word]:
    """Read PAN-OS before 9.1, which told it in a sentence."""
    said = next((found for cell in cells if (found := SAID.search(cell))), None)
    if said is None or len(cells) < 9:
        return ()
    event = "logout" if cells[8].endswith(("-release", "-logout-succ")) else "gateway-connected"
    told = {"event": event, "user": said["user"], "device": said["device"] or "", "record": record}
    return _tunnel(_time(cells[6] or cells[1], clock), (said["ip"],), told)


def _exported(text: str) -> Iterator[Word]:
    for line in text.split("\n"):
        if '"GLOBALPROTECT"' not in line:
            continue
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue
        event = str(row.get("EventIDValue", "")) if isinstance(row, dict) else ""
        if not event.startswith("gateway-") or row.get("EventStatus") != "success":
            continue
        said = {"event": event, "user": str(row.get("SourceUserName") or ""), "record": line}
        said["device"] = str(row.get("EndpointDeviceName") or "")
        try:
            time = datetime.fromisoformat(str(row.get("TimeGenerated")))
        except ValueError:
            continue
        if time.tzinfo:
            yield from _tunnel(time, (str(row.get("PrivateIPv4")), str(row.get("PrivateIPv6"))), said)


def _tunnel(time: datetime | None, addresses: Sequence[str], said: Mapping[str, str]) -> list[Word]:
    """Return a word for each address inside the tunnel."""
    user = _user(said["user"])
    if time is None or user is None:
        return []
    ends = "logout" in said["event"]
    found = (ip_address(one) for one in addresses if one not in NO_ADDRESS)
    return [
        Word(
            kind="ends" if ends else "holds",
            time=time,
            address=address,
            user=user,
            device=said["device"] or None,
            record=said["record"],
        )
        for address in found
        if address
    ]


def _user(text: str) -> str | None:
    name = text.strip()
    return None if name.lower() in NO_USER else name


def _time(text: str, clock: StreamClock) -> datetime | None:
    found = TIME.match(text)
    try:
        return clock.local(datetime(*map(int, found.groups()))) if found else None  # type: ignore[arg-type]  # noqa: DTZ001
    except (ValueError, Malformed):
        return None
