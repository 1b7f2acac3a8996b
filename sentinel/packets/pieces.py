"""Pieces of a stream that wait for what comes before them: in their order, none overlapping another."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator


class Pieces:
    """Bytes by their position in the stream. `size` is how many there are."""

    __slots__ = ("_bytes", "_places", "size")

    def __init__(self) -> None:
        """Start with none."""
        self._places: list[int] = []
        self._bytes: dict[int, bytes] = {}
        self.size = 0

    def __len__(self) -> int:
        """Return how many pieces there are."""
        return len(self._places)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield the pieces that are there now, with their positions."""
        return iter([(at, self._bytes[at]) for at in self._places])

    def put(self, at: int, payload: memoryview | bytes) -> None:
        """Keep what no piece holds yet of *payload*, which belongs to the position *at*."""
        end = at + len(payload)
        fresh = []
        here = at
        for begin, piece in self._touching(at, end):
            if here < begin:
                fresh.append((here, begin))
            here = max(here, begin + len(piece))
        if here < end:
            fresh.append((here, end))
        for first, last in fresh:
            self._bytes[first] = bytes(payload[first - at : last - at])
            insort(self._places, first)
            self.size += last - first

    def contradict(self, at: int, payload: memoryview | bytes) -> bool:
        """Return whether *payload*, at the position *at*, says something else than a piece that covers the same bytes."""
        end = at + len(payload)
        for begin, piece in self._touching(at, end):
            low, high = max(begin, at), min(begin + len(piece), end)
            if piece[low - begin : high - begin] != payload[low - at : high - at]:
                return True
        return False

    def take(self, at: int) -> bytes | None:
        """Take out the first piece, as far as it lies behind *at*; None while there is a hole before it."""
        if not self._places or self._places[0] > at:
            return None
        first = self._places.pop(0)
        piece = self._bytes.pop(first)
        self.size -= len(piece)
        return piece[at - first :]

    def pop(self, at: int) -> bytes | None:
        """Take out the piece that begins at the position *at*."""
        piece = self._bytes.pop(at, None)
        if piece is not None:
            self._places.remove(at)
            self.size -= len(piece)
        return piece

    def _touching(self, at: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield the pieces that hold a byte between two positions."""
        nth = max(0, bisect_right(self._places, at) - 1)
        while nth < len(self._places) and self._places[nth] < end:
            begin = self._places[nth]
            piece = self._bytes[begin]
            if begin + len(piece) > at:
                yield begin, piece
            nth += 1
