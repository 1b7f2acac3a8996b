"""IP: version 4 with options, version 6 with extension headers, and fragments put together again, within bounds."""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from sentinel.packets.link import IPV4
from sentinel.packets.wire import Undecodable

IN_IP, TCP, UDP, SIX_IN_IP, GRE = 4, 6, 17, 41, 47
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, MOBILITY = 0, 43, 44, 51, 60, 135
MOST_DATAGRAMS = 1024
MOST_FRAGMENTS = 128
"""Of one datagram: 64 KiB in the smallest fragments that real links make."""
MOST_BYTES = 16 * 1024 * 1024
TIMEOUT = 30 * 1_000_000_000

_V4 = struct.Struct(">BxHHHxB2x4s4s").unpack_from
_V6 = struct.Struct(">4xHBx16s16s").unpack_from


class Datagram(NamedTuple):
    """What an IP packet carries. `length` is what the header claims; fewer bytes in `payload` mean a cut packet."""

    source: bytes
    destination: bytes
    protocol: int
    payload: memoryview
    length: int
    fragment: tuple[int, int, bool] | None = None  # identification, offset in bytes, whether more follow


def read(ether_type: int, frame: memoryview, at: int) -> Datagram:
    """Read the IP packet at the offset *at*.

    Raises:
        Undecodable: It ends within its headers, or they contradict themselves.
    """
    try:
        return _read_v4(frame, at) if ether_type == IPV4 else _read_v6(frame, at)
    except (struct.error, IndexError) as error:
        raise Undecodable("an IP packet ends within its headers") from error


def _read_v4(frame: memoryview, at: int) -> Datagram:
    first, total, identification, flags, protocol, source, destination = _V4(frame, at)
    header = (first & 15) * 4
    total = total or len(frame) - at  # offloaded segments of over 64 KiB claim no length
    if first >> 4 != 4 or header < 20 or total < header:
        raise Undecodable("an IPv4 header that contradicts itself")
    offset = (flags & 0x1FFF) * 8
    more = bool(flags & 0x2000)
    fragment = (identification, offset, more) if more or offset else None
    return Datagram(source, destination, protocol, frame[at + header : at + total], total - header, fragment)


def _read_v6(frame: memoryview, at: int) -> Datagram:
    length, protocol, source, destination = _V6(frame, at)
    if frame[at] >> 4 != 6:
        raise Undecodable("an IPv6 header that contradicts itself")
    at += 40
    end = at + length if length else len(frame)  # a jumbogram, or an offloaded segment
    fragment = None
    while True:
        if protocol in (HOP_BY_HOP, ROUTING, DESTINATION, MOBILITY):
            protocol, at = frame[at], at + 8 + frame[at + 1] * 8
        elif protocol == AUTHENTICATION:
            protocol, at = frame[at], at + 8 + frame[at + 1] * 4
        elif protocol == FRAGMENT and fragment is None:
            protocol, position, identification = struct.unpack_from(">BxHI", frame, at)
            at += 8
            if position & 0xFFF9:
                fragment = (identification, position & 0xFFF8, bool(position & 1))
                if position & 0xFFF8:  # what follows is the middle of something, no header
                    break
        else:
            break
    if at > end:
        raise Undecodable("IPv6 extension headers longer than their packet")
    return Datagram(source, destination, protocol, frame[at:end], end - at, fragment)


@dataclass(slots=True)
class _Pieces:
    started: int
    pieces: dict[int, bytes] = field(default_factory=dict)
    size: int = 0
    total: int | None = None
    protocol: int | None = None  # as the first fragment says


class Fragments:
    """Datagrams of which some fragments are still missing."""

    def __init__(self, counters: Counter[str]) -> None:
        """Start with none; what is given up is counted in *counters*."""
        self._waiting: OrderedDict[tuple[bytes, bytes, int, int], _Pieces] = OrderedDict()
        self._bytes = 0
        self._counters = counters

    def add(self, part: Datagram, time: int) -> Datagram | None:
        """Return the whole datagram when *part* is its last missing fragment. *time* is the capture's, in nanoseconds.

        Fragments may overlap, as they do when a datagram was sent twice over links of different size, while they agree. Where
        they contradict each other the datagram is refused: which bytes the receiver believed cannot be known.
        """
        if part.fragment is None:
            return part
        identification, offset, more = part.fragment
        if len(part.payload) < part.length or (more and part.length % 8):
            self._counters["fragments_cut"] += 1
            return None
        self._expire(time)
        # IPv6 tells the protocol in each fragment's own header, yet only the first one's counts.
        key = (part.source, part.destination, identification, part.protocol if len(part.source) == 4 else -1)
        known = self._waiting.get(key)
        if known is None:
            known = self._waiting[key] = _Pieces(time)
        if offset == 0:
            known.protocol = part.protocol
        if not self._place(key, known, offset, more, part.payload):
            return None
        if known.total is None or known.size < known.total or known.protocol is None:
            return None
        self._drop(key)
        whole = b"".join(known.pieces[at] for at in sorted(known.pieces))
        return Datagram(part.source, part.destination, known.protocol, memoryview(whole), len(whole))

    def _place(self, key: tuple[bytes, bytes, int, int], known: _Pieces, offset: int, more: bool, payload: memoryview) -> bool:
        end = offset + len(payload)
        fresh = _fresh(known.pieces, offset, payload)
        if fresh is None or _beyond(known, end, more) or end > 0xFFFF or not payload or len(known.pieces) >= MOST_FRAGMENTS:
            self._counters["fragments_refused"] += 1
            self._drop(key)
            return False
        if not more:
            known.total = end
        for at, piece in fresh:
            known.pieces[at] = piece
            known.size += len(piece)
            self._bytes += len(piece)
        while len(self._waiting) > MOST_DATAGRAMS or self._bytes > MOST_BYTES:
            self._counters["evicted"] += 1
            self._drop(next(iter(self._waiting)))
        return True

    def _expire(self, time: int) -> None:
        while self._waiting:
            key, oldest = next(iter(self._waiting.items()))
            if time - oldest.started <= TIMEOUT:
                return
            self._counters["fragments_missing"] += 1
            self._drop(key)

    def _drop(self, key: tuple[bytes, bytes, int, int]) -> None:
        self._bytes -= self._waiting.pop(key).size


def _beyond(known: _Pieces, end: int, more: bool) -> bool:
    """Return whether a fragment disagrees with another one about where the datagram ends."""
    if known.total is not None:
        return end >= known.total if more else end != known.total
    return not more and any(at + len(piece) > end for at, piece in known.pieces.items())


def _fresh(pieces: dict[int, bytes], offset: int, payload: memoryview) -> list[tuple[int, bytes]] | None:
    """Return the parts of a fragment that no piece holds yet, with their offsets; None when it contradicts a piece."""
    fresh, at, end = [], offset, offset + len(payload)
    for begin in sorted(pieces):
        piece = pieces[begin]
        low, high = max(begin, offset), min(begin + len(piece), end)
        if low >= high:
            continue
        if piece[low - begin : high - begin] != payload[low - offset : high - offset]:
            return None
        if at < low:
            fresh.append((at, bytes(payload[at - offset : low - offset])))
        at = high
    if at < end:
        fresh.append((at, bytes(payload[at - offset :])))
    return fresh
