"""Who had an address at a time: leases, logs of DHCP, RADIUS, VPN, log-ons; tables. Bytes in, claims and answers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo

from sentinel.formats.event_chunks import SIGN as EVTX
from sentinel.identity import (
    cisco_asa,
    dnsmasq,
    isc,
    kea,
    openvpn,
    palo_alto,
    radius,
    table,
    windows_dhcp,
    windows_logon,
    zeek_dhcp,
)
from sentinel.identity.binding import Binding, NotIdentity
from sentinel.identity.directory import Answer, Candidate, Directory

__all__ = ["Answer", "Binding", "Candidate", "Directory", "NotIdentity", "bindings"]


def bindings(name: str, data: bytes, zone: tzinfo, modified: datetime | None = None) -> Sequence[Binding]:
    """Return the claims of one identity file, recognised by its content; none for an empty file.

    Args:
        name: What to call the file where a claim is explained.
        data: Its bytes.
        zone: The zone of times that carry none.
        modified: When it was last changed (aware): without it, the year of syslog's times cannot be inferred.

    Raises:
        NotIdentity: It is of no known kind, a table with mistakes, or a log whose times cannot be placed.
    """
    if data.startswith(EVTX):
        return windows_logon.evtx(name, data)
    utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # as PowerShell writes it
    text = data.decode("utf-16", "replace") if utf_16 else data.decode("utf-8-sig", "surrogateescape")
    if not text.strip("\0\r\n\t "):
        return []
    for is_file, read in _FILES:
        if is_file(text):
            return read(name, text, zone)
    logs = [read for is_log, read in _LOGS if is_log(text)]
    if not logs:
        raise NotIdentity("no lease file, no log of DHCP, RADIUS, VPN or log-ons, and no table with an address column")
    return [claim for read in logs for claim in read(name, text, zone, modified)]


_FILES: tuple[tuple[Callable[[str], bool], Callable[[str, str, tzinfo], Sequence[Binding]]], ...] = (
    (kea.is_leases, lambda name, text, _zone: kea.leases(name, text)),
    (table.is_table, table.read),
    (isc.is_leases, lambda name, text, _zone: isc.leases(name, text)),
    (dnsmasq.is_leases, lambda name, text, _zone: dnsmasq.leases(name, text)),
    (openvpn.is_status, openvpn.status),
    (radius.is_detail, radius.detail),
    (zeek_dhcp.is_log, lambda name, text, _zone: zeek_dhcp.log(name, text)),
    (windows_dhcp.is_log, windows_dhcp.log),
)
"""Kinds that a file is one of."""

_LOGS: tuple[tuple[Callable[[str], bool], Callable[[str, str, tzinfo, datetime | None], Sequence[Binding]]], ...] = (
    (dnsmasq.is_log, dnsmasq.log),
    (isc.is_log, isc.log),
    (kea.is_log, lambda name, text, zone, _modified: kea.log(name, text, zone)),
    (radius.is_log, radius.log),
    (cisco_asa.is_log, cisco_asa.log),
    (palo_alto.is_log, lambda name, text, zone, _modified: palo_alto.log(name, text, zone)),
    (openvpn.is_log, lambda name, text, zone, _modified: openvpn.log(name, text, zone)),
    (windows_logon.is_log, lambda name, text, zone, _modified: windows_logon.log(name, text, zone)),
)
"""Kinds of which a collector's file may hold several."""
