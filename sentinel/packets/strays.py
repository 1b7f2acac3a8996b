"""Segments of connections whose beginning was not seen, kept for a while: the one that begins a hello may come late.

A capture that begins in the middle of things, or lost a SYN, shows mostly the middle of transfers. So each direction may leave
a few segments here; one that goes on beyond that is known to be dull, and costs nothing any more.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field

MOST_STREAMS = 4096
MOST_BYTES = 8 * 1024 * 1024
MOST_PIECES, LARGEST = 16, 12 * 1024
"""Of one stream. Real hellos have up to five kilobytes."""
MOST_DULL = 32_768
TIMEOUT = 10 * 1_000_000_000
"""ns. A lost segment is sent again within seconds."""
OVERHEAD = 128
"""What a piece costs beyond its bytes."""


@dataclass(slots=True)
class _Stream:
    since: int
    pieces: list[tuple[int, bytes]] = field(default_factory=list)  # by sequence number, as they came
    size: int = 0


class Strays:
    """What waits for its beginning. Streams are named by addresses and ports, as they stand in the packet."""

    def __init__(self, counters: Counter[str]) -> None:
        """Start with none; what has to go for want of memory is counted in *counters* as `strays_dropped`."""
        self.waiting: OrderedDict[bytes, _Stream] = OrderedDict()
        self.dull: OrderedDict[bytes, None] = OrderedDict()
        self._bytes = 0
        self._counters = counters

    def keep(self, key: bytes, sequence: int, payload: bytes, time: int) -> None:
        """Keep a segment, unless its stream is dull or becomes so with it. *time* is the capture's in ns."""
        if key in self.dull:
            return
        self._expire(time)
        known = self.waiting.get(key)
        if known is None:
            known = self.waiting[key] = _Stream(time)
        piece = (sequence, payload)
        if piece in known.pieces:
            return
        if len(known.pieces) >= MOST_PIECES or known.size + len(payload) > LARGEST:
            self.bore(key)
            return
        known.pieces.append(piece)
        known.size += len(payload)
        self._bytes += len(payload) + OVERHEAD
        while len(self.waiting) > MOST_STREAMS or self._bytes > MOST_BYTES:
            self._drop(next(iter(self.waiting)))
            self._counters["strays_dropped"] += 1

    def take(self, key: bytes) -> list[tuple[int, bytes]]:
        """Take out what waits of a stream, in the order in which it came: sequence numbers and bytes."""
        self.dull.pop(key, None)
        return self._drop(key).pieces if key in self.waiting else []

    def bore(self, key: bytes) -> None:
        """Take note that a stream is the middle of something."""
        if key in self.waiting:
            self._drop(key)
        self.dull[key] = None
        if len(self.dull) > MOST_DULL:
            self.dull.popitem(last=False)

    def _drop(self, key: bytes) -> _Stream:
        gone = self.waiting.pop(key)
        self._bytes -= gone.size + OVERHEAD * len(gone.pieces)
        return gone

    def _expire(self, time: int) -> None:
        while self.waiting:
            key, oldest = next(iter(self.waiting.items()))
            if time - oldest.since <= TIMEOUT:
                return
            self._drop(key)
