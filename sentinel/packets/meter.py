"""Tells a `FlowBook` of packets that are looked at one by one: in tunnels, behind IP options, in fragments, on interfaces.

They count as `flow_spans` counts many at once. On an interface the kernel hands over a part of a connection's packets only; yet
TCP's sequence and acknowledgement numbers tell how much each end had sent when the last of them came.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from struct import Struct

from sentinel.packets import ip
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.flow_spans import LOST_AT_MOST, Span
from sentinel.packets.seen import Seen
from sentinel.packets.tcp import ACK, FIN, SYN, distance, reversed_key

MOST_STREAMS = 65_536
MOST_DULL = 65_536

_TCP = Struct(">4xIIBB").unpack_from


class Meter:
    """Keeps up to where each direction was counted."""

    def __init__(self, book: FlowBook, ports: Collection[int], *, live: bool = False) -> None:
        """Start with none counted.

        Args:
            book: Who is told.
            ports: Whose connections are not counted: DNS, and tunnels.
            live: Not all packets come. Only connections that the book knows, or may know by their address, are counted, and of
                those only TCP.
        """
        self._book = book
        self._ports = frozenset(port.to_bytes(2, "big") for port in ports)
        self._live = live
        self._tops: OrderedDict[bytes, int] = OrderedDict()
        self._dull: OrderedDict[bytes, None] = OrderedDict()

    def wants(self, inner: ip.Datagram) -> bool:
        """Return whether a TCP or UDP datagram has a whole header, and no ports whose connections are not counted."""
        ports = inner.payload[:4].tobytes()
        whole = len(inner.payload) >= (20 if inner.protocol == ip.TCP else 8)
        return whole and ports[:2] not in self._ports and ports[2:] not in self._ports

    def take(self, inner: ip.Datagram, time: int, frame: int, packet: memoryview, seen: Sequence[Seen]) -> None:
        """Count a TCP or UDP datagram, whose *packet* has the number *frame* and showed what was *seen*. *time* is in ns."""
        tcp, ends = inner.protocol == ip.TCP, ends_of(inner)
        if not self.wants(inner):
            return
        sequence, acknowledged, offset, flags = _TCP(inner.payload) if tcp else (0, 0, 0x20, 0)
        opens = flags & (SYN | ACK) == SYN
        if opens:
            if self._book.knows(ends):
                self._book.opened(ends)
            self._dull.pop(_either(ends), None)
        if flags & SYN:
            sequence = sequence + 1 & 0xFFFFFFFF
            self.reached(ends, sequence)
        wanted = [self._book.named(ends, one) for one in seen]
        if not all(wanted):
            self._ignore(ends)
        if _either(ends) in self._dull or (self._live and not self._counts(ends, tcp, opens, time)):
            return
        size = max(0, inner.length - (offset >> 4) * 4)
        # What an acknowledgement says of its sender's own bytes is needed where the packets that bore them do not come.
        grown = self._grown(ends, sequence, size) if tcp and (size or self._live) else size
        if flags & FIN:  # it takes a number too, which the other side acknowledges
            self.reached(ends, sequence + size + 1 & 0xFFFFFFFF)
        self._count(Span(-1, ends, tcp, time, time, grown, 1, flags, 0), frame, packet)
        if self._live and flags & ACK:
            back = reversed_key(ends)
            self._count(Span(-1, back, True, time, time, self._grown(back, acknowledged, 0), 0, 0, 0), frame, packet)

    def top(self, ends: bytes) -> int | None:
        """Return up to which sequence number the direction between *ends* was counted; None when it was not."""
        return self._tops.get(ends)

    def reached(self, ends: bytes, top: int | None) -> None:
        """Take note of up to which sequence number it was counted, by whomever; None: nobody knows."""
        if top is None:
            return
        self._tops[ends] = top
        self._tops.move_to_end(ends)
        if len(self._tops) > MOST_STREAMS:
            self._tops.popitem(last=False)

    def _count(self, span: Span, frame: int, packet: memoryview) -> None:
        if not self._book.take(span, frame, bytes(packet)):
            self._ignore(span.ends)

    def _counts(self, ends: bytes, tcp: bool, opens: bool, time: int) -> bool:
        """Return whether a connection on an interface is counted."""
        return tcp and (self._book.knows(ends) or (opens and self._book.may_tell(ends, time)))

    def _ignore(self, ends: bytes) -> None:
        self._dull[_either(ends)] = None
        if len(self._dull) > MOST_DULL:
            self._dull.popitem(last=False)

    def _grown(self, ends: bytes, sequence: int, size: int) -> int:
        """Return how many bytes lie beyond what was counted of a direction, and remember how far that is now."""
        top = self._tops.get(ends, sequence)
        reach = distance(sequence + size & 0xFFFFFFFF, top)
        if not -LOST_AT_MOST <= reach <= size + LOST_AT_MOST:
            top, reach = sequence, size
        reach = max(0, reach)
        self.reached(ends, top + reach & 0xFFFFFFFF)
        return reach


def ends_of(inner: ip.Datagram) -> bytes:
    """Return source, destination and both ports of a TCP or UDP datagram."""
    return inner.source + inner.destination + inner.payload[:4].tobytes()


def _either(ends: bytes) -> bytes:
    return min(ends, reversed_key(ends))
