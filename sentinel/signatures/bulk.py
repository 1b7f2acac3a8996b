"""Finds the records that may hold one of very many host names, in a time that hardly depends on how many there are.

Hyperscan takes minutes and gigabytes to compile a million literals. Here a name stands for its longest label (the last bytes of
it) with the dot and two characters that follow, at most sixteen bytes. Every dot of the buffer that a letter follows is looked
at with the bytes around it: eight of them in one table, those that are in it with all sixteen in another, and then among the
hashes of all names. What passes is a superset of what holds a name; the exact match decides.

All of it is arithmetic on arrays, letters folded by setting one bit of every byte, which makes the superset a little larger.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

BEFORE = 13
"""Characters of a label that are looked at, with the dot and the two behind it sixteen."""

FRONT = 16
"""Bytes in front of a buffer that belong to it: what stands around its first dot can be read without asking."""

FOLD = np.uint64(0x2020202020202020)
NEXT_IS_LETTER = np.uint64(0x40 << 48)
MIX, MIX_TOO = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
DOT = ord(".")


def anchor(name: str) -> str | None:
    """Return what a name stands for here: its longest label's end, the dot, two characters of the next label.

    None when no label is followed by a letter and one more character: such a name has to be looked for in another way.
    """
    labels = name.split(".")
    best = ""
    for label, behind in itertools.pairwise(labels):
        if len(label) > len(best) and len(behind) > 1 and "a" <= behind[0] <= "z":
            best = f"{label}.{behind[:2]}"
    return best[-BEFORE - 3 :] or None


class Bulk:
    """The anchors of many names, ready to scan with."""

    def __init__(self, names: Iterable[str]) -> None:
        """Compile *names*; those without an anchor are in `rest`."""
        self.rest: list[str] = []
        anchors: set[str] = set()
        for name in names:
            found = anchor(name)
            if found:
                anchors.add(found)
            else:
                self.rest.append(name)
        text = "".join(one.rjust(16, "\0") for one in anchors).encode("ascii")
        words = np.array(memoryview(text).cast("B"), np.uint8).view("<u8").reshape(-1, 2) | FOLD
        lengths = np.fromiter(map(len, anchors), np.int64, len(anchors))
        bits = max(16, (len(anchors) * 8).bit_length())
        self._shift = np.uint64(64 - bits)
        self._near = np.zeros(1 << bits, np.bool_)
        self._far = np.zeros(1 << bits, np.bool_)
        self._short = sorted({int(length) for length in lengths if length < 8})
        self._long = sorted({int(length) for length in lengths if length >= 8})
        self._near[self._first(words[lengths >= 8, 1], 8)] = True
        hashes = [np.zeros(0, np.uint64)]
        for length in self._short:
            near = words[lengths == length, 1]
            self._near[self._first(near, length)] = True
            hashes.append(_hashed(np.zeros_like(near), _last(near, length), length))
        for length in self._long:
            chosen = words[lengths == length]
            hashes.append(_hashed(chosen[:, 0], chosen[:, 1], length))
        self._hashes = np.unique(np.concatenate(hashes))
        self._far[self._hashes >> self._shift] = True

    def scan(self, data: memoryview, spelling: str) -> list[int]:
        """Return the offsets just behind each anchor in *data*, in no order."""
        buffer = np.zeros(FRONT + len(data) + 8, np.uint8)
        buffer[FRONT : FRONT + len(data)] = np.frombuffer(data, np.uint8)
        # All eight-byte words of the buffer, one from each byte on.
        words: Words = np.ndarray((len(buffer) - 7,), "<u8", buffer.data, 0, (1,))
        dots = np.flatnonzero(buffer[: FRONT + len(data)] == DOT)
        ends = self._passed(dots, words[dots - 5], words) + 3
        if spelling == "labels":
            ends = np.concatenate((ends, self._counted(buffer, words, len(data))))
        return [int(end) for end in ends - FRONT]

    def _counted(self, buffer: NDArray[np.uint8], words: Words, size: int) -> NDArray[np.int64]:
        """Return the ends where a label stands behind its length, as Windows DNS writes it: `clearview(2)ai`."""
        opening = np.flatnonzero(buffer[: FRONT + size] == ord("("))
        found = [np.zeros(0, np.int64)]
        for digits in (1, 2):
            here = opening[opening + digits + 3 < len(buffer)]
            here = here[buffer[here + digits + 1] == ord(")")]
            behind = here + digits + 2
            near = words[here - 8] >> np.uint64(24) | np.uint64(DOT << 40)
            near |= buffer[behind].astype(np.uint64) << np.uint64(48) | buffer[behind + 1].astype(np.uint64) << np.uint64(56)
            found.append(self._passed(here, near, words) + digits + 4)
        return np.concatenate(found)

    def _passed(self, dots: NDArray[np.int64], near: Words, words: Words) -> NDArray[np.int64]:
        """Return those *dots* around which an anchor may stand; *near* are five bytes before each, itself, two behind it."""
        letters = np.flatnonzero(near & NEXT_IS_LETTER)
        dots, near = dots[letters], near[letters] | FOLD
        found = []
        for length in self._short:
            likely = np.flatnonzero(self._near[self._first(near, length)])
            kept = _last(near[likely], length)
            found.append(dots[likely[self._known(_hashed(np.zeros_like(kept), kept, length))]])
        known = np.flatnonzero(self._near[self._first(near, 8)])
        dots, near = dots[known], near[known]
        far = words[dots - BEFORE] | FOLD
        for length in self._long:
            hashes = _hashed(far, near, length)
            likely = np.flatnonzero(self._far[hashes >> self._shift])
            found.append(dots[likely[self._known(hashes[likely])]])
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def _first(self, near: Words, length: int) -> Words:
        """Return the places in the first table of the last *length* bytes of each word, eight at the most."""
        return _last(near, length) * MIX >> self._shift

    def _known(self, hashes: Words) -> NDArray[np.bool_]:
        """Return which of *hashes* are those of a name."""
        places = np.searchsorted(self._hashes, hashes)
        places[places == len(self._hashes)] = 0
        same: NDArray[np.bool_] = self._hashes[places] == hashes
        return same


def _last(near: Words, length: int) -> Words:
    """Return the last *length* bytes of each word, eight at the most, the others zero."""
    return near & np.uint64((0xFFFFFFFFFFFFFFFF << 8 * (8 - length)) & 0xFFFFFFFFFFFFFFFF)


def _hashed(far: Words, near: Words, length: int) -> Words:
    """Return hashes of the last *length* bytes, eight to sixteen, of each pair of words."""
    kept = far & np.uint64((0xFFFFFFFFFFFFFFFF << 8 * (16 - length)) & 0xFFFFFFFFFFFFFFFF)
    mixed = (near * MIX ^ kept * MIX_TOO) + np.uint64(length)
    mixed ^= mixed >> np.uint64(29)
    return mixed * MIX
