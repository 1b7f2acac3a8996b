"""Kea's memfile of IPv4 leases (`kea-leases4.csv`), a journal.

    address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context
    10.77.0.150,02:aa:bb:00:00:01,,600,1795411662,1,0,0,pc-alice,0,

A lease ran from `expire` less `valid_lifetime` (Unix seconds). A row with a lifetime of 0 says that the server has removed the
lease, not when: unless an earlier row says that it expired, its end is then unknown.

Reference: https://kea.readthedocs.io/en/latest/arm/dhcp4-srv.html#memfile-basic-storage-for-leases
"""

from __future__ import annotations

import csv
from dataclasses import replace

from sentinel.formats.format import Malformed, utc_from_epoch
from sentinel.identity.binding import RECORD_KEPT, Binding, NotIdentity, hardware, superseded
from sentinel.observation import ip_address

HEADER = "address,hwaddr,client_id,valid_lifetime,expire,"
DECLINED, EXPIRED = "1", "2"


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
