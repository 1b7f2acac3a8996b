"""Who had an address at a time, from DHCP leases, DHCP logs and tables. Bytes come in, claims and answers go out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from sentinel.identity import dnsmasq, isc, kea, table
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
    text = data.decode("utf-8-sig", "surrogateescape")
    if not text.strip("\0\r\n\t "):
        return []
    if kea.is_leases(text):
        return kea.leases(name, text)
    if table.is_table(text):
        return table.read(name, text, zone)
    if isc.is_leases(text):
        return isc.leases(name, text)
    if dnsmasq.is_leases(text):
        return dnsmasq.leases(name, text)
    logs = [one for one in (dnsmasq, isc) if one.is_log(text)]
    if not logs:
        raise NotIdentity("no DHCP lease file, DHCP log or table with an address column")
    return [claim for one in logs for claim in one.log(name, text, zone, modified)]
