"""Capture files as a source: plain or compressed, still being written or cut, one or several that belong together."""

from __future__ import annotations

import hashlib
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, cast

from sentinel.packets.capture import is_capture
from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.records import CaptureParser, Records
from sentinel.packets.seen import Seen
from sentinel.packets.sieve_intake import Intake
from sentinel.packets.wire import Undecodable
from sentinel.sources.batch import Loss
from sentinel.sources.standard_input import StandardInput
from sentinel.sources.unpack import COMPRESSED, Damaged, chunks, kind_of

__all__ = ["CaptureReader", "Seen", "holds_capture", "in_order", "looks_like_capture"]

HEAD = 512
STANDARD_INPUT = "-"
SEED = secrets.randbits(64)
"""Known to this process alone, so that nobody can make two flows of his look like one."""


class _File(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...

    def readinto(self, room: memoryview, /) -> int | None: ...


class _Counted:
    """A binary file that can be looked into (standard input cannot go back), counted and hashed as it is read."""

    def __init__(self, file: _File, *, digest: bool = False) -> None:
        self._file = file
        self._hash = hashlib.sha256() if digest else None
        self._head = b""
        self.count = 0

    def head(self) -> bytes:
        """Return the first bytes; `read` returns them once more."""
        while len(self._head) < HEAD and (piece := self._take(HEAD - len(self._head))):
            self._head += piece
        return self._head

    def read(self, size: int = -1, /) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._take(size)

    def readinto(self, room: memoryview) -> int:
        """Read into *room*, and return how many bytes; 0 at the end."""
        if self._head:
            head, self._head = self._head[: len(room)], self._head[len(room) :]
            room[: len(head)] = head
            return len(head)
        count = self._file.readinto(room) or 0
        self.count += count
        if self._hash is not None:
            self._hash.update(room[:count])
        return count

    def sha256(self) -> str | None:
        """Return the digest of the whole file, what was not read so far included; None unless it was asked for."""
        if self._hash is None:
            return None
        while self._take(COMPRESSED):
            pass
        return self._hash.hexdigest()

    def _take(self, size: int) -> bytes:
        piece = self._file.read(size)
        self.count += len(piece)
        if self._hash is not None:
            self._hash.update(piece)
        return piece


class CaptureReader:
    """Reads one capture. The attributes say how far it has come; they are final when `seen` has ended.

    bytes: read, after decompression. stored_read: read, as they are stored.
    losses: what could not be read. sha256: of the file as it is stored; None unless asked for.
    """

    def __init__(
        self,
        path: str | Path,
        decoder: Decoder | None = None,
        *,
        digest: bool = False,
        book: FlowBook | None = None,
        given: StandardInput | None = None,
    ) -> None:
        """Prepare to read; nothing is opened yet.

        Args:
            path: The capture; "-" is standard input.
            decoder: The one that read the captures before this, whose streams may go on here. Who gives one calls its `finish`
                after the last capture; without one, `seen` does that itself.
            digest: Take the file's SHA-256.
            book: Counts connections of interest. Who gives one calls its `finish` after the last capture.
            given: Standard input, where it was looked into already.
        """
        self.path = str(path)
        self._given = given
        self.decoder = decoder or Decoder()
        self.losses: list[Loss] = []
        self.bytes = 0
        self.stored_read = 0
        self.sha256: str | None = None
        self._finishes = decoder is None
        self._digest = digest
        self._intake = Intake(self.decoder, seed=SEED, book=book)
        self._book = book

    @property
    def packets(self) -> int:
        """How many packets were read."""
        return self._intake.packets

    @property
    def first(self) -> datetime | None:
        """The earliest packet's time in UTC."""
        return utc(self._intake.earliest)

    @property
    def last(self) -> datetime | None:
        """The latest packet's time in UTC."""
        return utc(self._intake.latest)

    @property
    def complete(self) -> bool:
        """Whether nothing was lost."""
        return not self.losses

    @property
    def loss(self) -> str | None:
        """What could not be read, in a sentence; None when all was read."""
        return "; ".join(f"offset {one.offset}: {one.reason}" for one in self.losses) or None

    def seen(self) -> Iterator[list[Seen]]:
        """Yield what the packets show, in their order, a list for each megabyte or so; many are empty.

        Raises:
            OSError: The file cannot be opened.
        """
        if self._book is not None:
            self._book.path = self.path
        for records in self.records():
            yield self._intake.take(records)
        if self._finishes:
            yield self.decoder.finish()

    def records(self) -> Iterator[Records]:
        """Yield the packets themselves, in their order; each lot is to be taken before the next is asked for.

        Raises:
            OSError: The file cannot be opened.
        """
        parser = CaptureParser()
        with self._opened() as opened:
            file = _Counted(opened, digest=self._digest)
            try:
                for records in _records(file, parser):
                    self.bytes = parser.offset
                    self.stored_read = file.count
                    yield records
                self._lost(parser.offset, None, parser.finish())
            except (Damaged, Undecodable) as error:
                # What came before the damage was read, and given out like the rest.
                self._lost(parser.offset, None, str(error))
            self.bytes = parser.fed
            self.sha256 = file.sha256()
            self.stored_read = file.count
        if parser.dropped:
            self._lost(parser.offset, 0, f"the capturing machine dropped {parser.dropped} packets")
        if parser.untimed:
            self._lost(parser.offset, 0, f"{parser.untimed} packets carry no time and were given that of the packet before")

    def _opened(self) -> AbstractContextManager[_File]:
        if self.path != STANDARD_INPUT:
            return Path(self.path).open("rb")
        return nullcontext(cast("_File", self._given or sys.stdin.buffer))

    def _lost(self, offset: int, length: int | None, reason: str | None) -> None:
        if reason is not None:
            self.losses.append(Loss(offset, length, reason))


def _records(file: _Counted, parser: CaptureParser) -> Iterator[Records]:
    """Yield the packets of a capture, compressed or not.

    Raises:
        Damaged: The compressed stream is truncated or broken.
        Undecodable: The capture is.
    """
    kind = kind_of(file.head())
    if kind != "plain":
        for chunk in chunks(file, kind):
            yield from parser.feed(chunk)
        return
    while count := file.readinto(parser.room()):
        yield from parser.take(count)


def looks_like_capture(path: str | Path) -> bool:
    """Return whether a file is a capture, compressed or not, by its first bytes.

    Raises:
        OSError: The file cannot be read.
    """
    with Path(path).open("rb") as opened:
        return holds_capture(opened)


def holds_capture(opened: _File) -> bool:
    """Return whether what is read from *opened* is a capture, compressed or not.

    Raises:
        OSError: It cannot be read.
    """
    file = _Counted(opened)
    kind = kind_of(file.head())
    if kind in ("zip", "tar"):
        return False
    try:
        return is_capture(next(chunks(file, kind), b""))
    except Damaged:
        return False


def in_order(paths: Sequence[str | Path]) -> list[str]:
    """Return captures in the order of their first packets, as a rotating `tcpdump -C` or `-G` wrote them.

    One without packets, or that cannot be opened, comes first; standard input comes last, for it can be read only once.
    """
    return sorted((str(path) for path in paths), key=lambda path: (path == STANDARD_INPUT, first_time(path), path))


def first_time(path: str) -> int:
    """Return when a capture's first packet was captured, in ns since 1970; 0 for standard input and where there is none."""
    if path == STANDARD_INPUT:
        return 0
    parser = CaptureParser()
    try:
        with Path(path).open("rb") as opened:
            file = _Counted(opened)
            for chunk in chunks(file, kind_of(file.head())):
                for records in parser.feed(chunk):
                    return int(records.times[0])
    except (Damaged, Undecodable, OSError):
        pass  # told when the file is read
    return 0


def utc(nanoseconds: int | None) -> datetime | None:
    """Return a time in ns since 1970 as a datetime in UTC."""
    return None if nanoseconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
