"""The link layer: from a captured frame to where its IP packet begins.

Link types: https://www.tcpdump.org/linktypes.html
"""

from __future__ import annotations

import struct

from sentinel.packets.wire import Undecodable

ETHERNET, PPP, RAW_IP, LOOP, SLL, SLL2 = 1, 9, 101, 108, 113, 276
IPV4, IPV6 = 0x0800, 0x86DD
VLANS = frozenset({0x8100, 0x88A8, 0x9100, 0x9200})
MPLS = frozenset({0x8847, 0x8848})
PPPOE_SESSION = 0x8864
PPP_PROTOCOLS = {0x0021: IPV4, 0x0057: IPV6}
RAW = frozenset({12, 14, RAW_IP, 228, 229})
FAMILIES = {2: IPV4, 10: IPV6, 24: IPV6, 28: IPV6, 30: IPV6}  # AF_INET6 has as many numbers as there are systems

_SHORT = struct.Struct(">H").unpack_from
_WORD = struct.Struct(">I").unpack_from


def network(link: int, frame: memoryview) -> tuple[int, int] | None:
    """Return the ether type (`IPV4` or `IPV6`) and offset of the IP packet in *frame*; None when it carries something else.

    Raises:
        Undecodable: The frame ends within its headers, or its link type is none that we read.
    """
    try:
        return _network(link, frame)
    except (struct.error, IndexError) as error:
        raise Undecodable(f"a frame of {len(frame)} bytes ends within its link headers") from error


def within(ether_type: int, frame: memoryview, at: int) -> tuple[int, int] | None:
    """Return what `network` does, for what an *ether_type* announces at the offset *at*.

    Raises:
        struct.error: The frame ends too early.
        IndexError: The same.
    """
    while True:
        if ether_type in (IPV4, IPV6):
            return ether_type, at
        if ether_type in VLANS:
            ether_type, at = _SHORT(frame, at + 2)[0], at + 4
        elif ether_type in MPLS:
            return _below_stack(frame, at)
        elif ether_type == PPPOE_SESSION:
            return _ppp(frame, at + 6)
        else:
            return None


def _network(link: int, frame: memoryview) -> tuple[int, int] | None:
    if link == ETHERNET:
        return within(_SHORT(frame, 12)[0], frame, 14)
    if link == SLL:
        return within(_SHORT(frame, 14)[0], frame, 16)
    if link == SLL2:
        return within(_SHORT(frame, 0)[0], frame, 20)
    if link in RAW:
        return _by_version(frame, 0)
    if link in (0, LOOP):
        family = _WORD(frame, 0)[0]
        # NULL has the byte order of the machine that captured, which the file does not tell.
        known = FAMILIES.get(family) or FAMILIES.get(int.from_bytes(frame[:4], "little"))
        return (known, 4) if known else None
    if link == PPP:
        return _ppp(frame, 2 if frame[0] == 0xFF else 0)
    raise Undecodable(f"link type {link}")


def _by_version(frame: memoryview, at: int) -> tuple[int, int] | None:
    version = frame[at] >> 4
    return (IPV4, at) if version == 4 else (IPV6, at) if version == 6 else None


def _below_stack(frame: memoryview, at: int) -> tuple[int, int] | None:
    """Return where IP begins below MPLS labels; they do not tell what they carry, only its first bits do."""
    at = _below_labels(frame, at)
    if frame[at] >> 4 == 0:  # the control word of a pseudowire, and an Ethernet frame behind it (RFC 4448, section 4.6)
        return within(_SHORT(frame, at + 16)[0], frame, at + 18)
    return _by_version(frame, at)


def _below_labels(frame: memoryview, at: int) -> int:
    while not frame[at + 2] & 1:  # bottom of stack
        at += 4
    return at + 4


def _ppp(frame: memoryview, at: int) -> tuple[int, int] | None:
    if frame[at] & 1:  # the protocol field may be compressed to one byte
        protocol, at = frame[at], at + 1
    else:
        protocol, at = _SHORT(frame, at)[0], at + 2
    known = PPP_PROTOCOLS.get(protocol)
    if known is None and protocol in (0x0281, 0x0283):
        return _below_stack(frame, at)
    return (known, at) if known else None
