"""TCP: the first bytes of each direction that may say something, put in order, within bounds.

Only streams whose beginning is still undecided are kept. What a stream turned out to be is remembered for a while, so that
bytes in the middle of an upload are not taken for a request, and what is sent again is not told again.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sentinel.packets.http2 import Frames

FIN, SYN, RST, ACK = 1, 2, 4, 16
MOST_FLOWS = 32_768
MOST_SETTLED = 65_536
MOST_BYTES = 64 * 1024 * 1024
LARGEST_STREAM = 72 * 1024
"""Of one stream: the largest hello or request head that is waited for, with its record headers."""
MOST_PIECES = 256
TIMEOUT = 120 * 1_000_000_000
WINDOW = 1 << 20
"""Bytes further ahead than this belong to another connection that uses the same ports."""
OVERHEAD = 64
"""What a waiting piece costs beyond its bytes; without it, a million one-byte pieces would count as a megabyte."""
FLOW_OVERHEAD = 1024
"""What a flow costs beyond its bytes and its last packet."""
TABLE_OVERHEAD = 16 * 1024
"""What the header table of an HTTP/2 connection may cost."""

Role = Literal["tls", "http", "other", "server"]
State = Literal["begins", "chunks", "trailers", "lines", "socks", "http2", "server", "dns"]
"""What a stream's next bytes are: the beginning of something, or the middle of what it is known to be."""


@dataclass(slots=True)
class Flow:
    """One direction of a connection, the client's unless the state says otherwise. Addresses are packed.

    `time` (ns), `frame` and `packet` are those of the last packet that brought bytes.
    """

    key: bytes
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    first: int  # the sequence number of the first byte
    next: int  # the one after the last byte in `buffer`
    time: int
    frame: int
    packet: bytes | memoryview = b""
    state: State = "begins"
    role: Role = "other"  # what it is remembered as if it is given up now
    acknowledged: int = 0  # of the other side's bytes
    buffer: bytearray = field(default_factory=bytearray)
    waiting: dict[int, bytes] = field(default_factory=dict)
    cut: int | None = None  # where a snapped segment ends, of which nothing fills the hole
    stuck: bool = False  # too much waits behind a hole
    user: str | None = None  # whom a SOCKS client claims to be
    frames: Frames | None = None  # of HTTP/2
    held: int = 0  # bytes accounted for

    @property
    def reverse(self) -> bytes:
        """The key of the other direction."""
        return reversed_key(self.key)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a stream turned out to be, and which of its bytes told it."""

    role: Role
    first: int
    next: int

    def holds(self, sequence: int) -> bool:
        """Return whether the byte at *sequence* was read already: it is sent once more."""
        return distance(sequence, self.first) >= 0 and distance(sequence, self.next) < 0


class Streams:
    """The flows being put together."""

    def __init__(self, counters: Counter[str]) -> None:
        """Start with none; what is given up is counted in *counters*."""
        self.flows: OrderedDict[bytes, Flow] = OrderedDict()
        self.settled: OrderedDict[bytes, Settled] = OrderedDict()
        self._bytes = 0
        self._counters = counters

    def open(self, flow: Flow) -> None:
        """Begin to follow a flow; one that used the same addresses and ports before is forgotten."""
        self.forget(flow.key)
        self.settled.pop(flow.key, None)
        self.flows[flow.key] = flow
        self.account(flow)

    def add(self, flow: Flow, sequence: int, payload: memoryview, lacking: int) -> bool:
        """Put a segment where it belongs; return whether the flow has more bytes in a row than before, or can get no more.

        The first copy of a byte counts. *lacking* bytes of the segment were not captured.
        """
        ahead = distance(sequence, flow.next)
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
            flow.cut = (flow.next + lacking) & 0xFFFFFFFF
        else:
            self._join(flow)
        return True

    def skip(self, flow: Flow, size: int) -> None:
        """Pass over *size* bytes of the stream, be they there or still to come."""
        have = min(size, len(flow.buffer))
        del flow.buffer[:have]
        flow.next = (flow.next + size - have) & 0xFFFFFFFF
        if size > have:
            self._join(flow)

    def forget(self, key: bytes) -> Flow | None:
        """Follow a flow no longer."""
        flow = self.flows.pop(key, None)
        if flow is not None:
            self._bytes -= flow.held
            flow.held = 0
        return flow

    def settle(self, flow: Flow, role: Role) -> None:
        """Remember what a stream turned out to be, and follow it no longer."""
        self.forget(flow.key)
        self.remember(flow.key, Settled(role, flow.first, flow.next))

    def remember(self, key: bytes, settled: Settled) -> None:
        """Remember what a stream is that was not followed."""
        self.settled[key] = settled
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

    def account(self, flow: Flow) -> None:
        """Count what the flow holds. To be called when a packet was taken in, its bytes and the evidence it may become."""
        held = FLOW_OVERHEAD + len(flow.buffer) + len(flow.packet) + (TABLE_OVERHEAD if flow.frames else 0)
        if flow.waiting:
            held += sum(len(piece) + OVERHEAD for piece in flow.waiting.values())
        self._bytes += held - flow.held
        flow.held = held

    def _keep(self, flow: Flow, sequence: int, payload: memoryview) -> None:
        known = flow.waiting.get(sequence)
        if known is not None and len(known) >= len(payload):
            return
        waiting = sum(map(len, flow.waiting.values()))
        if len(flow.waiting) >= MOST_PIECES or len(flow.buffer) + waiting + len(payload) > LARGEST_STREAM:
            flow.stuck = True
            return
        flow.waiting[sequence] = bytes(payload)

    def _join(self, flow: Flow) -> None:
        """Append the waiting pieces that connect now."""
        while flow.waiting:
            first = min(flow.waiting, key=lambda sequence: distance(sequence, flow.next))
            ahead = distance(first, flow.next)
            if ahead > 0:
                return
            piece = flow.waiting.pop(first)[-ahead:]
            flow.buffer += piece
            flow.next = (flow.next + len(piece)) & 0xFFFFFFFF


def distance(sequence: int, other: int) -> int:
    """Return how far *sequence* lies after *other*, negative before it, both going round at 2**32."""
    return ((sequence - other + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def in_window(flow: Flow, sequence: int) -> bool:
    """Return whether a segment at *sequence* can belong to this flow."""
    return -WINDOW <= distance(sequence, flow.next) <= WINDOW


def reversed_key(key: bytes) -> bytes:
    """Return the key of a connection's other direction: addresses and ports change places."""
    half = (len(key) - 4) // 2
    return key[half : 2 * half] + key[:half] + key[-2:] + key[-4:-2]
