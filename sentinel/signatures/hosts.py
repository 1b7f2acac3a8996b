"""A million host names in a few dozen megabytes: sorted text, searched by halving, behind a filter for strangers."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from sentinel.signatures.service import Indicator

BITS_PER_NAME = 16
"""Bits of the filter for each name: one stranger in sixteen has to be searched for."""


class HostList(Sequence[str]):
    """Canonical host names, sorted, each once."""

    def __init__(self, text: str) -> None:
        """Take *text*: ASCII names in order, each with a newline behind it, as `of` makes it."""
        self.text = text
        ends = np.flatnonzero(np.frombuffer(text.encode("ascii"), np.uint8) == ord("\n"))
        self._ends = array("I", ends.astype(np.uint32).tobytes())
        bits = max(64, 1 << (len(self._ends) * BITS_PER_NAME - 1).bit_length()) if self._ends else 64
        self._mask = bits - 1
        self._filter = bytearray(bits // 8)
        for name in self:
            place = zlib.crc32(name.encode()) & self._mask
            self._filter[place >> 3] |= 1 << (place & 7)

    @classmethod
    def of(cls, names: Iterable[str]) -> HostList:
        """Return the list of *names*, which are canonical and in any order."""
        return cls("".join(f"{name}\n" for name in sorted(set(names))))

    def __reduce__(self) -> tuple[Callable[[str], HostList], tuple[str]]:
        return HostList, (self.text,)

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[str]:
        return iter(self.text.split("\n")[:-1])

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._at(one) for one in range(*index.indices(len(self)))]
        return self._at(range(len(self))[index])

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or not name.isascii():
            return False
        place = zlib.crc32(name.encode()) & self._mask
        if not self._filter[place >> 3] >> (place & 7) & 1:
            return False
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            here = self._at(middle)
            if here == name:
                return True
            if here < name:
                low = middle + 1
            else:
                high = middle
        return False

    def _at(self, index: int) -> str:
        return self.text[self._ends[index - 1] + 1 if index else 0 : self._ends[index]]


class Domains(Sequence[Indicator]):
    """A list's names as indicators, each made when it is asked for."""

    def __init__(self, hosts: HostList) -> None:
        """Take the names; traffic to one, or below it, proves a contact."""
        self._hosts = hosts

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[Indicator]:
        return (Indicator(domain=name) for name in self._hosts)

    @overload
    def __getitem__(self, index: int) -> Indicator: ...

    @overload
    def __getitem__(self, index: slice) -> list[Indicator]: ...

    def __getitem__(self, index: int | slice) -> Indicator | list[Indicator]:
        if isinstance(index, slice):
            return [Indicator(domain=name) for name in self._hosts[index]]
        return Indicator(domain=self._hosts[index])
