"""OpenVPN: the status file in its three versions, and the server's log.

    CLIENT_LIST,alice,10.20.30.11:34210,10.8.2.2,,3099,3129,2026-11-23 06:25:43,1795411543,alice,0,0,AES-256-GCM
    2026-11-23 06:25:43 alice/10.20.30.11:34210 MULTI: primary virtual IP for alice/10.20.30.11:34210: 10.8.2.2

A status file is a snapshot: who is in it was connected from `Connected Since` to its own time. The name is the user who logged
in, where one did, else the common name of the certificate. Times without Unix seconds are the server's own.

Reference: https://openvpn.net/community-docs/community-articles/openvpn-2-6-manual.html (`--status`)
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo

from sentinel.formats.clock import StreamClock
from sentinel.formats.format import Malformed, utc_from_epoch
from sentinel.formats.times import ISO, MONTH_FIRST, read_time
from sentinel.identity.binding import RECORD_KEPT, Binding
from sentinel.identity.sessionlog import Word, fold
from sentinel.observation import ip_address

STATUS = re.compile(r"^(?:OpenVPN CLIENT LIST|HEADER[,\t]CLIENT_LIST[,\t])", re.MULTILINE)
LINE = re.compile(rf"(?P<time>{ISO}|(?:[A-Z][a-z]{{2}} )?{MONTH_FIRST}(?: \d{{4}})?) (?P<text>.*)")
_WEEKDAY = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (\d{4})\Z")
GIVEN = re.compile(
    r"(?P<peer>.+/\S+:\d+) MULTI: (?:primary virtual IP for (?P=peer): |Learn: )(?P<ip>[0-9A-Fa-f.:]+)(?: -> (?P=peer))?\Z"
)
LEFT = re.compile(
    r"(?P<peer>.+/\S+:\d+) (?:SIG\w+\[[^\]]*\] received, client-instance |Connection reset|\[[^\]]*\] Inactivity timeout)"
)
STOPPED = re.compile(r"SIG\w+\[[^\]]*\] received, process (?:exiting|restarting)")


def is_status(text: str) -> bool:
    """Return whether *text* is a status file."""
    return STATUS.search(text) is not None


def status(name: str, text: str, zone: tzinfo) -> list[Binding]:
    """Return what a snapshot says; times without Unix seconds are in *zone*."""
    clock = StreamClock(zone, None)
    claims: list[Binding] = []
    told: datetime | None = None
    for row, record in _rows(text):
        if row["what"] == "TIME":
            told = _time(row, "time", clock)
            continue
        since, user = _time(row, "Connected Since", clock), _name(row)
        if since is None or user is None:
            continue
        for address in (ip_address(row.get("Virtual Address")), ip_address(row.get("Virtual IPv6 Address"))):
            if address:
                kept = (name, record[:RECORD_KEPT])
                if told is not None and told > since:
                    claims.append(Binding(address, None, None, user, since, told, "OpenVPN status", *kept))
                latest = told if told is not None and told > since else since
                claims.append(Binding(address, None, None, user, latest, None, "OpenVPN status", *kept))
    return claims


def _rows(text: str) -> Iterator[tuple[dict[str, str], str]]:
    """Yield the time of the snapshot first, then each client with its addresses, by the names of the columns."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if any(line == "OpenVPN CLIENT LIST" for line in lines):
        yield from _first_version(lines)
        return
    columns: list[str] = []
    for line in lines:
        cells = line.split("\t") if "\t" in line else next(csv.reader([line.replace("\0", "")]), [])
        if cells[:1] == ["TIME"] and len(cells) > 2:
            yield {"what": "TIME", "time": cells[1], "time (time_t)": cells[2]}, line
        elif cells[:2] == ["HEADER", "CLIENT_LIST"]:
            columns = cells[2:]
        elif cells[:1] == ["CLIENT_LIST"] and columns:
            yield {"what": "CLIENT", **dict(zip(columns, cells[1:], strict=False))}, line


def _first_version(lines: list[str]) -> Iterator[tuple[dict[str, str], str]]:
    since: dict[tuple[str, str], str] = {}
    for line in lines:
        cells = line.replace("\0", "").split(",")
        if cells[0] == "Updated" and len(cells) == 2:
            yield {"what": "TIME", "time": cells[1]}, line
        elif len(cells) >= 5 and cells[-2].isdigit() and cells[-3].isdigit():
            since[",".join(cells[:-4]), cells[-4]] = cells[-1]  # a common name may hold commas
        elif len(cells) >= 4 and ip_address(cells[0]):
            begun = since.get((",".join(cells[1:-2]), cells[-2]))
            if begun:
                row = {"Virtual Address": cells[0], "Common Name": ",".join(cells[1:-2]), "Connected Since": begun}
                yield {"what": "CLIENT", **row}, line


def _name(row: Mapping[str, str]) -> str | None:
    for name in (row.get("Username"), row.get("Common Name")):
        if name and name != "UNDEF":
            return name
    return None


def _time(row: Mapping[str, str], key: str, clock: StreamClock) -> datetime | None:
    seconds = row.get(f"{key} (time_t)") or ""
    try:
        if re.fullmatch(r"\d{1,11}", seconds, re.ASCII):
            return utc_from_epoch(int(seconds))
        return _written(row.get(key, ""), clock)
    except Malformed:
        return None


def _written(text: str, clock: StreamClock) -> datetime | None:
    weekday = _WEEKDAY.match(text)
    written = f"{weekday[1][:7]}{weekday[2]} {weekday[1][7:]}" if weekday else text
    return read_time(written, clock) if written else None


def is_log(text: str) -> bool:
    """Return whether *text* is a log of OpenVPN's server."""
    return re.search(r"\d MULTI: (?:primary virtual IP for |Learn: )|/\S+:\d+ MULTI: (?:primary|Learn)", text) is not None


def log(name: str, text: str, zone: tzinfo) -> list[Binding]:
    """Return what the server's log proves; its times are in *zone*."""
    return fold(_words(text, StreamClock(zone, None)), name, "OpenVPN")


def _words(text: str, clock: StreamClock) -> Iterator[Word]:
    inside: dict[str, set[str]] = {}  # a client's name and address outside -> its addresses inside
    for record in text.split("\n"):
        line = LINE.match(record.rstrip("\r"))
        if line is None or not (given := GIVEN.match(line["text"]) or LEFT.match(line["text"]) or STOPPED.match(line["text"])):
            continue
        try:
            time = _written(line["time"], clock)
        except Malformed:
            continue
        if time is None:
            continue
        if given.re is STOPPED:
            yield Word(kind="all-end", time=time)
            inside.clear()
            continue
        peer = given["peer"]
        user = peer.rpartition("/")[0]
        if given.re is LEFT:
            for left in inside.pop(peer, set()):
                yield Word(kind="ends", time=time, address=left, user=user, session=peer, record=record)
        elif address := ip_address(given["ip"]):
            inside.setdefault(peer, set()).add(address)
            yield Word(kind="holds", time=time, address=address, user=user, session=peer, record=record)
