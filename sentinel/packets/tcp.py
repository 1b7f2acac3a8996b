"""TCP: the first bytes of each direction that may say something, put in order, within bounds.

Only streams whose beginning is still undecided are kept. What a stream turned out to be is remembered for a while, so that
bytes in the middle of an upload are not taken for a request.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Literal

FIN, SYN, RST, ACK = 1, 2, 4, 16
MOST_FLOWS = 65_536
MOST_SETTLED = 131_072
MOST_BYTES = 48 * 1024 * 1024
LARGEST_STREAM = 72 * 1024
"""Of one stream: the largest hello or request head that is waited for, with its record headers."""
MOST_PIECES = 256
TIMEOUT = 120 * 1_000_000_000
WINDOW = 1 << 20
"""Bytes further ahead than this belong to another connection that uses the same ports."""
OVERHEAD = 64
"""What a waiting piece costs beyond its bytes; without it, a million one-byte pieces would count as a megabyte."""

Role = Literal["tls", "http", "dns", "other", "server"]


@dataclass(slots=True)
class Flow:
    """One direction of a connection, from the client unless it is DNS. Addresses are packed, times the capture's in ns."""

    key: bytes
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    next: int  # the sequence number after the last byte in `buffer`
    time: int
    frame: int
    packet: bytes | memoryview
    buffer: bytearray = field(default_factory=bytearray)
    waiting: dict[int, bytes] = field(default_factory=dict)
    body: Literal["", "chunks", "trailers"] = ""
    cut: bool = False  # a snapped packet left a hole that nothing fills
    held: int = 0  # bytes accounted for


class Streams:
    """The flows being put together."""

    def __init__(self, counters: Counter[str]) -> None:
        """Start with none; what is given up is counted in *counters*."""
        self.flows: OrderedDict[bytes, Flow] = OrderedDict()
        self.settled: OrderedDict[bytes, Role] = OrderedDict()
        self._bytes = 0
        self._counters = counters

    def open(self, flow: Flow) -> None:
        """Begin to follow a flow; one that used the same addresses and ports before is forgotten."""
        self.forget(flow.key)
        self.settled.pop(flow.key, None)
        self.flows[flow.key] = flow

    def add(self, flow: Flow, sequence: int, payload: memoryview, lacking: int) -> bool:
        """Put a segment where it belongs; return whether the flow has more bytes in a row than before, or can get no more.

        The first copy of a byte counts. *lacking* bytes of the segment were not captured.
        """
        ahead = _distance(sequence, flow.next)
        if ahead < 0:
            payload = payload[-ahead:]
            sequence, ahead = flow.next, 0
        if not payload and not lacking:
            return False
        if ahead > 0:
            self._keep(flow, sequence, payload)
            return False
        flow.buffer += payload
        flow.next = (flow.next + len(payload)) & 0xFFFFFFFF
        if lacking:
            flow.cut = True
        else:
            self._join(flow)
        self._account(flow)
        return True

    def skip(self, flow: Flow, size: int) -> None:
        """Pass over *size* bytes of the stream, be they there or still to come."""
        have = min(size, len(flow.buffer))
        del flow.buffer[:have]
        flow.next = (flow.next + size - have) & 0xFFFFFFFF
        if size > have:
            self._join(flow)
        self._account(flow)

    def forget(self, key: bytes) -> Flow | None:
        """Follow a flow no longer."""
        flow = self.flows.pop(key, None)
        if flow is not None:
            self._bytes -= flow.held
        return flow

    def settle(self, key: bytes, role: Role) -> None:
        """Remember what a stream turned out to be, and follow it no longer."""
        self.forget(key)
        self.settled[key] = role
        self.settled.move_to_end(key)
        if len(self.settled) > MOST_SETTLED:
            self.settled.popitem(last=False)

    def given_up(self, time: int) -> list[Flow]:
        """Take out the flows that were idle too long at *time*, and the oldest while there are too many."""
        gone: list[Flow] = []
        while self.flows:
            oldest = next(iter(self.flows.values()))
            crowded = len(self.flows) > MOST_FLOWS or self._bytes > MOST_BYTES
            if not crowded:
                if time - oldest.time <= TIMEOUT:
                    return gone
                self._counters["streams_idle"] += 1
            else:
                self._counters["evicted"] += 1
            self.forget(oldest.key)
            gone.append(oldest)
        return gone

    def _keep(self, flow: Flow, sequence: int, payload: memoryview) -> None:
        known = flow.waiting.get(sequence)
        if known is not None and len(known) >= len(payload):
            return
        if len(flow.waiting) >= MOST_PIECES or flow.held + len(payload) > LARGEST_STREAM:
            self._counters["segments_dropped"] += 1
            return
        flow.waiting[sequence] = bytes(payload)
        self._account(flow)

    def _join(self, flow: Flow) -> None:
        """Append the waiting pieces that connect now."""
        while flow.waiting:
            reach = {sequence: _distance(sequence, flow.next) for sequence in flow.waiting}
            first = min(reach, key=lambda sequence: reach[sequence])
            if reach[first] > 0:
                return
            piece = flow.waiting.pop(first)[-reach[first] :]
            flow.buffer += piece
            flow.next = (flow.next + len(piece)) & 0xFFFFFFFF

    def _account(self, flow: Flow) -> None:
        held = len(flow.buffer) + sum(len(piece) + OVERHEAD for piece in flow.waiting.values())
        self._bytes += held - flow.held
        flow.held = held


def _distance(sequence: int, other: int) -> int:
    """Return how far *sequence* lies after *other*, negative before it, both going round at 2**32."""
    return ((sequence - other + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def in_window(flow: Flow, sequence: int) -> bool:
    """Return whether a segment at *sequence* can belong to this flow."""
    return -WINDOW <= _distance(sequence, flow.next) <= WINDOW
