"""Tunnels, as mirror ports and sites use them: the packet inside a packet.

References: GRE RFC 2784 and 2890, ERSPAN draft-foschiano-erspan-03, VXLAN RFC 7348 and draft-ietf-nvo3-vxlan-gpe, IP in IP
RFC 2003, 6in4 RFC 4213.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

from sentinel.packets import ip, link

VXLAN_PORTS = frozenset({4789})
VXLAN_HEADER = 8
IS_VXLAN, SAYS_PROTOCOL = 0x08, 0x04  # a network identifier is there; what is carried is told
CARRIED = {1: link.IPV4, 2: link.IPV6}
ETHERNET_CARRIED = 3
CHECKSUM, KEY, SEQUENCE, VERSION = 0x8000, 0x2000, 0x1000, 0x0007
BRIDGED, ERSPAN, ERSPAN_III = 0x6558, 0x88BE, 0x22EB

Inner = tuple[int, memoryview, int]
"""An ether type, bytes, and the offset in them where its packet begins."""


def inside(outer: ip.Datagram, vxlan_ports: Collection[int]) -> Inner | None:
    """Return the packet that *outer* carries; None when it carries none.

    Raises:
        struct.error: The packet ends within the tunnel's header.
        IndexError: The same.
        Undecodable: The same, for a frame in the tunnel.
    """
    payload = outer.payload
    if outer.protocol == ip.IN_IP:
        return link.IPV4, payload, 0
    if outer.protocol == ip.SIX_IN_IP:
        return link.IPV6, payload, 0
    if outer.protocol == ip.GRE:
        return _gre(payload)
    if outer.protocol == ip.UDP and struct.unpack_from(">H", payload, 2)[0] in vxlan_ports and payload[8] & IS_VXLAN:
        return _vxlan(payload[8:])
    return None


def _vxlan(payload: memoryview) -> Inner | None:
    kind = payload[3] if payload[0] & SAYS_PROTOCOL else ETHERNET_CARRIED
    if kind == ETHERNET_CARRIED:
        return _frame(payload[VXLAN_HEADER:])
    return (CARRIED[kind], payload, VXLAN_HEADER) if kind in CARRIED else None


def _gre(payload: memoryview) -> Inner | None:
    flags, kind = struct.unpack_from(">HH", payload)
    if flags & VERSION:
        return None
    at = 4 + 4 * (bool(flags & CHECKSUM) + bool(flags & KEY) + bool(flags & SEQUENCE))
    if kind == BRIDGED:
        return _frame(payload[at:])
    if kind == ERSPAN:
        # Type I has neither sequence numbers nor a header of its own, type II has both.
        return _frame(payload[at + 8 if flags & SEQUENCE else at :])
    if kind == ERSPAN_III:
        return _erspan_iii(payload, at)
    where = link.within(kind, payload, at)
    return (where[0], payload, where[1]) if where else None


def _erspan_iii(payload: memoryview, at: int) -> Inner | None:
    flags = struct.unpack_from(">H", payload, at + 10)[0]
    begin = at + 12 + (8 if flags & 1 else 0)  # a platform's own subheader
    if flags >> 10 & 31 == 2:  # IP without its frame
        return _packet(payload[begin:])
    return _frame(payload[begin:])


def _frame(frame: memoryview) -> Inner | None:
    where = link.network(link.ETHERNET, frame)
    return (where[0], frame, where[1]) if where else None


def _packet(packet: memoryview) -> Inner | None:
    where = link.network(link.RAW_IP, packet)
    return (where[0], packet, where[1]) if where else None
