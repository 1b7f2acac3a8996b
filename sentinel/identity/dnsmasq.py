"""dnsmasq as DHCP server: its lease file and its log.

    1795411658 02:aa:bb:00:00:01 10.77.0.108 PC-ALICE *
    Nov 23 06:17:35 dnsmasq-dhcp[18866]: DHCPACK(veth0) 10.77.0.108 02:aa:bb:00:00:01 PC-ALICE

The lease file says when a lease ends (Unix seconds, 0: never), not when it began. The log says when it began; for how long,
only beside `log-dhcp` (option 51) or when the server starts (`lease time 10m`).

Reference: https://thekelleys.org.uk/dnsmasq/docs/dnsmasq-man.html
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

from sentinel.formats.format import Malformed, utc_from_epoch
from sentinel.identity.binding import FOREVER, RECORD_KEPT, Binding, hardware
from sentinel.identity.leaselog import Event, fold
from sentinel.identity.stamped import Stamped, stamped
from sentinel.observation import ip_address

LEASE = re.compile(
    r"(?P<ends>\d{1,11}) (?P<mac>[0-9A-Fa-f:-]{17,62}) (?P<address>[\d.]{7,15}) (?P<device>\S+) \S+\s*\Z", re.ASCII
)
DUID = re.compile(r"duid [0-9a-f:]+\s*\Z", re.ASCII)
LEASE6 = re.compile(r"\d{1,11} \S+ [0-9A-Fa-f:]+ \S+ \S+\s*\Z", re.ASCII)

PROGRAM = "dnsmasq-dhcp"
SAID = re.compile(
    r"(?:(?P<xid>\d+) )?DHCP(?P<what>ACK|DISCOVER|OFFER|RELEASE|DECLINE)\([^)]*\)(?: (?P<address>[\d.]{7,15}))? "
    r"(?P<mac>[0-9A-Fa-f:-]{17,62})(?: (?P<device>\S+))?",
    re.ASCII,
)
OPTION = re.compile(r"(?P<xid>\d+) sent size: +\d+ option: +51 lease-time +(?P<length>\S+)", re.ASCII)
RANGE = re.compile(r"DHCP, IP range (?P<low>[\d.]+) -- (?P<high>[\d.]+), lease time (?P<length>\S+)", re.ASCII)
LENGTH = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,9})s)?\Z", re.ASCII)


def is_leases(text: str) -> bool:
    """Return whether *text* is a dnsmasq lease file: nothing but its lines, and at least one of a lease."""
    held = [line for line in text.split("\n") if line.strip()]
    return any(map(LEASE.match, held)) and all(LEASE.match(x) or DUID.match(x) or LEASE6.match(x) for x in held)


def leases(name: str, text: str) -> list[Binding]:
    """Return the IPv4 leases of a lease file. Their beginning is not stated, so `since` is None."""
    found = []
    for line in text.split("\n"):
        match = LEASE.match(line)
        address = ip_address(match["address"]) if match else None
        if match is None or address is None:
            continue
        device = None if match["device"] == "*" else match["device"]
        try:
            until = utc_from_epoch(int(match["ends"])) if int(match["ends"]) else FOREVER
        except Malformed:
            continue
        found.append(
            Binding(address, hardware(match["mac"]), device, None, None, until, "lease file", name, line[:RECORD_KEPT])
        )
    return found


def is_log(text: str) -> bool:
    """Return whether *text* has lines of dnsmasq's DHCP server."""
    return re.search(r"\bdnsmasq-dhcp(?:\[\d+\])?: (?:\d+ )?DHCP", text) is not None


def log(name: str, text: str, zone: tzinfo, modified: datetime | None) -> list[Binding]:
    """Return what the log proves; times without a zone are in *zone*, those without a year lie before *modified*.

    Raises:
        NotIdentity: Times carry no year, and *modified* is None.
    """
    events: list[Event] = []
    ranges: list[tuple[int, int, timedelta]] = []
    acks: dict[str, int] = {}  # transaction -> place of its acknowledgement in `events`
    for line in stamped(text, PROGRAM, zone, modified, program=PROGRAM):
        if option := OPTION.match(line.message):
            at = acks.get(option["xid"])
            if at is not None:
                events[at] = replace(events[at], length=_length(option["length"]))
        elif spanned := RANGE.match(line.message):
            ranges = _with_range(ranges, spanned)
        elif said := SAID.match(line.message):
            event = _event(said, line, ranges)
            if event:
                if said["xid"]:
                    acks.pop(said["xid"], None)
                    if event.kind == "ack":
                        acks[said["xid"]] = len(events)
                events.append(event)
    return fold(events, name)


def _event(said: re.Match[str], line: Stamped, ranges: Sequence[tuple[int, int, timedelta]]) -> Event | None:
    address, mac = ip_address(said["address"]), hardware(said["mac"])
    if mac is None:
        return None
    if said["what"] in ("DISCOVER", "OFFER"):
        return Event("asks", line.time, mac)
    if address is None:
        return None
    if said["what"] != "ACK":
        return Event("end", line.time, mac, address)
    number = int(ipaddress.IPv4Address(address))
    length = next((length for low, high, length in ranges if low <= number <= high), None)
    return Event("ack", line.time, mac, address, said["device"], length, line.record[:RECORD_KEPT])


def _with_range(ranges: list[tuple[int, int, timedelta]], said: re.Match[str]) -> list[tuple[int, int, timedelta]]:
    """Return the ranges with a new one before the others: what a restarted server says counts from then on."""
    length = _length(said["length"])
    try:
        low, high = int(ipaddress.IPv4Address(said["low"])), int(ipaddress.IPv4Address(said["high"]))
    except ValueError:
        return ranges
    others = [one for one in ranges if one[:2] != (low, high)]
    return [(low, high, length), *others] if length else others


def _length(text: str) -> timedelta | None:
    found = LENGTH.match(text)
    if found is None or not any(found.groups()):
        return None  # "infinite": such a lease has no end that could be stated
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
