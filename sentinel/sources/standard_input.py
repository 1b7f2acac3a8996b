"""Standard input, looked into before it is read: it cannot go back, so what was looked at is kept and given out once more."""

from __future__ import annotations

import io
import sys
from typing import Any


class StandardInput(io.RawIOBase):
    """Standard input as a binary file. A read returns what there is, so that a pipe's data is seen as it comes."""

    def __init__(self) -> None:
        """Begin to look into it; nothing is read yet."""
        super().__init__()
        self._file: Any = sys.stdin.buffer
        self._looked = bytearray()
        self._looking = True

    def rewind(self) -> None:
        """Go back to the beginning, once; from now on nothing is kept."""
        self._looking = False

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, room: Any, /) -> int:
        """Read into *room*, and return how many bytes; 0 at the end."""
        if self._looked and not self._looking:
            count = min(len(room), len(self._looked))
            room[:count] = self._looked[:count]
            del self._looked[:count]
            return count
        count = int(self._file.readinto1(room))
        if self._looking:
            self._looked += memoryview(room)[:count]
        return count
