"""Kea's memfile of IPv4 leases (`kea-leases4.csv`), a journal, and its log.

    address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context
    10.77.0.150,02:aa:bb:00:00:01,,600,1795411662,1,0,0,pc-alice,0,

A lease ran from `expire` less `valid_lifetime` (Unix seconds). A row with a lifetime of 0 says that the server has removed the
lease, not when: unless an earlier row says that it expired, its end is then unknown.

    2026-11-23 06:17:42.512 INFO  [kea-dhcp4.leases/19030.1396…] DHCP4_LEASE_ALLOC [hwtype=1 02:aa:bb:00:00:01], cid=[no info],
    tid=0xbc984b49: lease 10.77.0.150 has been allocated for 600 seconds

Times of the log are the server's own. It names no device.

References: https://kea.readthedocs.io/en/latest/arm/dhcp4-srv.html#memfile-basic-storage-for-leases,
https://kea.readthedocs.io/en/latest/kea-messages.html
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta, tzinfo

from sentinel.formats.clock import StreamClock
from sentinel.formats.format import Malformed, utc_from_epoch
from sentinel.formats.times import ISO, read_time
from sentinel.identity.binding import RECORD_KEPT, Binding, NotIdentity, hardware, superseded
from sentinel.identity.leaselog import Event, fold
from sentinel.observation import ip_address

HEADER = "address,hwaddr,client_id,valid_lifetime,expire,"
DECLINED, EXPIRED = "1", "2"

LINE = re.compile(
    rf"(?P<time>{ISO}) +\w+ +\[kea-dhcp4\.[^\]]*\] DHCP4_"
    r"(?P<what>LEASE_ALLOC|LEASE_RENEW|RELEASE|RELEASE_EXPIRED|DECLINE_LEASE) "
    r"\[hwtype=\d+ (?P<mac>[0-9a-f:]+)\].*?: (?:lease|address|Received DHCPDECLINE for addr) (?P<ip>[\d.]+)"
    r"(?: has been \w+ for (?P<length>\d{1,10}) seconds)?"
)
INFINITE = 0xFFFFFFFF


def is_leases(text: str) -> bool:
    """Return whether *text* begins with the header of Kea's IPv4 leases."""
    return text.startswith(HEADER)


def leases(name: str, text: str) -> list[Binding]:
    """Return the leases, each with the interval that its row states.

    Raises:
        NotIdentity: It is no CSV after all.
    """
    claims: list[Binding] = []
    expired: set[int] = set()
    latest: dict[str, int] = {}  # address -> place in `claims`
    try:
        for row in csv.DictReader(text.splitlines()):
            claim = _claim(name, row)
            if claim is None:
                continue
            at = latest.get(claim.address)
            if row["valid_lifetime"] == "0":
                if at is not None and at not in expired and claims[at].mac == claim.mac:
                    claims[at] = replace(claims[at], until=None, basis="lease that was removed before its end")
                continue
            latest[claim.address] = len(claims)
            if row.get("state") == EXPIRED:
                expired.add(len(claims))
            claims.append(claim)
    except csv.Error as error:
        raise NotIdentity(f"not the CSV that Kea writes: {error}") from error
    return superseded(claims)


def _claim(name: str, row: dict[str, str]) -> Binding | None:
    """Return what a row claims; None for one that is cut off or claims nothing."""
    address, lifetime, expire = ip_address(row.get("address")), row.get("valid_lifetime") or "", row.get("expire") or ""
    if address is None or not (lifetime.isascii() and lifetime.isdigit() and expire.isascii() and expire.isdigit()):
        return None
    try:
        since, until = utc_from_epoch(int(expire) - int(lifetime)), utc_from_epoch(int(expire))
    except (Malformed, ValueError):  # ValueError: more digits than Python turns into a number
        return None
    declined = row.get("state") == DECLINED  # somebody unknown answers to the address
    mac, device = hardware(row.get("hwaddr")), (row.get("hostname") or "").replace("&#x2c", ",") or None
    if mac is None and not declined:
        return None
    record = ",".join(str(cell) for cell in row.values())[:RECORD_KEPT]
    basis = "address declined: somebody else used it" if declined else "lease"
    return Binding(address, None if declined else mac, None if declined else device, None, since, until, basis, name, record)


def is_log(text: str) -> bool:
    """Return whether *text* has lines of Kea's log about leases."""
    return re.search(r"\[kea-dhcp4\.[^\]]*\] DHCP4_LEASE_", text) is not None


def log(name: str, text: str, zone: tzinfo) -> list[Binding]:
    """Return what the log proves; its times are in *zone*."""
    return fold(_events(text, StreamClock(zone, None)), name)


def _events(text: str, clock: StreamClock) -> Iterator[Event]:
    for found in LINE.finditer(text):
        address, mac = ip_address(found["ip"]), hardware(found["mac"])
        try:
            time = read_time(found["time"], clock)
        except Malformed:
            continue
        if address is None or mac is None:
            continue
        if found["what"] not in ("LEASE_ALLOC", "LEASE_RENEW"):
            yield Event("end", time, mac, address)
            continue
        seconds = int(found["length"]) if found["length"] else INFINITE
        length = timedelta(seconds=seconds) if seconds < INFINITE else None
        yield Event("ack", time, mac, address, None, length, found[0][:RECORD_KEPT])
