"""Cuts streams of bytes into whole records, and knows a stream by its first one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

CHUNK = 1024 * 1024
"""Bytes read at a time. Large enough for the scanner's pace, small enough to stay in the processor's cache."""

LONGEST = CHUNK
"""A record longer than this is no record: it is counted as lost, and reading goes on after its end."""

HEAD = 4096
"""Bytes at a stream's beginning in which its first record is looked for."""

_TIME = re.compile(rb"\d:\d\d|\d{9}")
"""A clock time or Unix seconds: hardly a log record is without."""


def fingerprint(head: bytes) -> str | None:
    """Return what a stream is known by: a digest of its first record, and of the header lines before it.

    None while that record is not complete. It is the same for a growing file, its rotated and its compressed copies. Comment
    lines alone would be the same in all of a program's logs, and so would the column names of a CSV file: a first line in
    which no time stands is taken together with the second.
    """
    head = head[:HEAD]
    end = 0
    while head.startswith(b"#", end) and (newline := head.find(b"\n", end)) >= 0:
        end = newline + 1
    newline = head.find(b"\n", end)
    if newline >= 0 and not _TIME.search(head, end, newline):
        newline = head.find(b"\n", newline + 1)
    if newline < 0 and len(head) < HEAD:
        return None
    return digest_of(head[: newline + 1] if newline >= 0 else head)


def digest_of(data: bytes) -> str:
    """Return 32 hex digits of *data*."""
    return hashlib.sha256(data).hexdigest()[:32]


class Cutter:
    """Turns chunks into pieces that end with a record's end. `lost` gathers (offset, length) of records beyond `LONGEST`."""

    def __init__(self, offset: int = 0) -> None:
        """Begin at *offset* of the stream, which is a record's beginning."""
        self.offset = offset  # of the first byte that was not given out yet
        self.lost: list[tuple[int, int]] = []
        self._tail = b""
        self._skipping = False
        self._skipped_from = 0

    def cut(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Take the next bytes; yield (offset, whole records) as far as there are any."""
        data = self._tail + chunk if self._tail else chunk
        self._tail = b""
        if self._skipping:
            newline = data.find(b"\n")
            if newline < 0:
                self.offset += len(data)
                return
            self.offset += newline + 1
            self.lost.append((self._skipped_from, self.offset - self._skipped_from))
            self._skipping, data = False, data[newline + 1 :]
        end = data.rfind(b"\n") + 1
        if end:
            yield self.offset, data[:end]
            self.offset += end
        self._tail = data[end:]
        if len(self._tail) > LONGEST:
            self._skipping, self._skipped_from = True, self.offset
            self.offset += len(self._tail)
            self._tail = b""

    def rest(self) -> tuple[int, bytes]:
        """Return what stands after the last newline, at the end of the stream."""
        if self._skipping:
            self.lost.append((self._skipped_from, self.offset - self._skipped_from))
            self._skipping = False
        offset, tail = self.offset, self._tail
        self.offset, self._tail = offset + len(tail), b""
        return offset, tail
