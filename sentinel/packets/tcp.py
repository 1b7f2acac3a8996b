"""TCP: the first bytes of each direction that may say something, put in order, within bounds.

Only streams whose beginning is still undecided are kept. What a stream turned out to be is remembered for a while, so that
bytes in the middle of an upload are not taken for a request, and what is sent again is not told again.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sentinel.packets.pieces import Pieces

if TYPE_CHECKING:
    from sentinel.packets.http2 import Frames

FIN, SYN, RST, ACK = 1, 2, 4, 16
MOST_FLOWS = 32_768
MOST_SETTLED = 65_536
MOST_BYTES = 40 * 1024 * 1024
LARGEST_STREAM = 72 * 1024
"""Of one stream: the largest hello or request head that is waited for, with its record headers."""
MOST_PIECES = 256
MOST_RECENT, LARGEST_RECENT = 512, 8 * 1024
"""Hellos that are kept after they were told, to be compared with what is sent again, and how long they are at the most."""
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
    opened: bool = False  # its SYN was seen, so that `first` is certain
    buffer: bytearray = field(default_factory=bytearray)
    at: int = 0  # how many bytes came before `next`
    waiting: Pieces | None = None  # what came before the bytes ahead of it
    cut: int | None = None  # where a snapped segment ends, of which nothing fills the hole
    stuck: bool = False  # too much waits behind a hole
    contradicted: bool = False  # the same bytes came twice, and differed
    user: str | None = None  # whom a SOCKS client claims to be
    frames: Frames | None = None  # of HTTP/2
    held: int = 0  # bytes accounted for

    @property
    def reverse(self) -> bytes:
        """The key of the other direction."""
        return reversed_key(self.key)

    @property
    def untouched(self) -> bool:
        """Whether nothing of it was passed over yet."""
        return self.at == len(self.buffer)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Yield all bytes that are held, with their sequence numbers."""
        if self.buffer:
            yield (self.next - len(self.buffer)) & 0xFFFFFFFF, bytes(self.buffer)
        for at, piece in self.waiting or ():
            yield (self.next + at - self.at) & 0xFFFFFFFF, piece


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
        """Start with none; what is given up is counted in *counters*.

        `recent`: hellos that were read last, with the sequence number of their first byte.
        """
        self.flows: OrderedDict[bytes, Flow] = OrderedDict()
        self.settled: OrderedDict[bytes, Settled] = OrderedDict()
        self.recent: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()
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

        *lacking* bytes of the segment were not captured. Where a copy of bytes that are held differs from them, nothing is
        taken, and the flow is marked as contradicted: which of the two the receiver believed cannot be known.
        """
        ahead = distance(sequence, flow.next)
        if _contradicts(flow, ahead, payload):
            flow.contradicted = True
            return False
        if ahead < 0:
            payload = payload[-ahead:]
            ahead = 0
        if not payload and not lacking:
            return False
        if ahead > 0:
            self._keep(flow, ahead, payload)
            return False
        flow.buffer += payload
        _move(flow, len(payload))
        if lacking:
            flow.cut = (flow.next + lacking) & 0xFFFFFFFF
        else:
            self._join(flow)
        return True

    def skip(self, flow: Flow, size: int) -> None:
        """Pass over *size* bytes of the stream, be they there or still to come."""
        have = min(size, len(flow.buffer))
        del flow.buffer[:have]
        _move(flow, size - have)
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
        self.recent.pop(flow.key, None)
        if role == "tls" and len(flow.buffer) <= LARGEST_RECENT:
            self.recent[flow.key] = (flow.next - len(flow.buffer)) & 0xFFFFFFFF, bytes(flow.buffer)
            if len(self.recent) > MOST_RECENT:
                self.recent.popitem(last=False)

    def refuse(self, flow: Flow) -> None:
        """Follow a flow no longer, and believe nothing of what comes in its place."""
        self.forget(flow.key)
        first, end = (flow.first - LARGEST_STREAM) & 0xFFFFFFFF, (flow.next + LARGEST_STREAM) & 0xFFFFFFFF
        self.remember(flow.key, Settled("other", first, end))

    def differs(self, key: bytes, sequence: int, payload: memoryview) -> bool:
        """Return whether a segment of a stream that was read lately says something else than then. It is told once."""
        first, held = self.recent.get(key, (0, b""))
        at = distance(sequence, first)
        again = payload[: len(held) - at] if 0 <= at < len(held) else b""
        if again == held[at : at + len(again)]:
            return False
        del self.recent[key]
        return True

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
            held += flow.waiting.size + OVERHEAD * len(flow.waiting)
        self._bytes += held - flow.held
        flow.held = held

    def _keep(self, flow: Flow, ahead: int, payload: memoryview) -> None:
        waiting = flow.waiting = flow.waiting or Pieces()
        if len(waiting) >= MOST_PIECES or len(flow.buffer) + waiting.size + len(payload) > LARGEST_STREAM:
            flow.stuck = True
            return
        waiting.put(flow.at + ahead, payload)

    def _join(self, flow: Flow) -> None:
        """Append the waiting pieces that connect now."""
        while flow.waiting:
            piece = flow.waiting.take(flow.at)
            if piece is None:
                return
            flow.buffer += piece
            _move(flow, len(piece))


def _move(flow: Flow, size: int) -> None:
    flow.next = (flow.next + size) & 0xFFFFFFFF
    flow.at += size


def _contradicts(flow: Flow, ahead: int, payload: memoryview) -> bool:
    """Return whether a segment, *ahead* bytes after what was read, differs from what is held of the same bytes."""
    if ahead < 0:
        if len(payload) == 1 and ahead == -1:
            return False  # a keep-alive: any byte, before the next one (RFC 1122, section 4.2.3.6)
        held = len(flow.buffer)
        begin = max(0, held + ahead)  # in the buffer
        again = payload[max(0, -ahead - held) : -ahead]
        if again != flow.buffer[begin : begin + len(again)]:
            return True
    return flow.waiting is not None and flow.waiting.contradict(flow.at + ahead, payload)


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
