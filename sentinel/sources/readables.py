"""Binary files of other shapes: with bytes put back, made of chunks, counted; and how they are read to a given length."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from sentinel.sources.records import CHUNK, HEAD
from sentinel.sources.unpack import Damaged, Readable

SMALL = 16 * 1024
"""Bytes read at a time of a member: where an archive breaks off, tarfile and zipfile keep back the piece that is not whole."""


class Counted:
    """The stored file; tells what is read of it, piece by piece."""

    def __init__(self, file: BinaryIO, tell: Callable[[bytes | memoryview], None]) -> None:
        self._file, self._tell = file, tell

    def read(self, size: int = -1) -> bytes:
        """Return at most *size* bytes, none at the end."""
        data = self._file.read(size)
        self._tell(data)
        return data

    def readinto(self, view: memoryview) -> int:
        """Fill *view* from its beginning as far as one read goes; return with how many bytes, 0 at the end."""
        read = int(self._file.readinto(view) or 0)  # type: ignore[attr-defined]
        self._tell(view[:read])
        return read


class Length:
    """A file that counts what is read of it."""

    def __init__(self, file: Readable) -> None:
        self._file, self.length = file, 0

    def read(self, size: int = -1) -> bytes:
        """Return at most *size* bytes, none at the end."""
        data = self._file.read(size)
        self.length += len(data)
        return data


class Pushed:
    """A file with some bytes, which were looked at, put back before it."""

    def __init__(self, head: bytes, file: Any) -> None:
        self._head, self._file = head, file

    def read(self, size: int = -1) -> bytes:
        """Return at most *size* bytes, none at the end."""
        if self._head:
            given, self._head = (self._head, b"") if size < 0 else (self._head[:size], self._head[size:])
            return given
        return bytes(self._file.read(size))

    def readinto(self, view: memoryview) -> int:
        """Fill *view* from its beginning as far as one read goes; return with how many bytes, 0 at the end."""
        if self._head:
            size = min(len(view), len(self._head))
            view[:size] = self._head[:size]
            self._head = self._head[size:]
            return size
        return int(self._file.readinto(view))


class Chunked:
    """A file made of chunks."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source, self._waiting = source, b""
        self._damage: Damaged | None = None  # said again at each further read: else what follows would look like a good end

    def read(self, size: int = -1) -> bytes:
        """Return at most *size* bytes, none at the end.

        Raises:
            Damaged: At the damage, each time.
        """
        if not self._waiting:
            self._waiting = self._next()
        given = self._waiting if size < 0 else self._waiting[:size]
        self._waiting = self._waiting[len(given) :]
        return given

    def _next(self) -> bytes:
        if self._damage:
            raise self._damage
        try:
            return next(self._source, b"")
        except Damaged as error:
            self._damage = error
            raise


def guarded(file: Readable) -> Iterator[bytes]:
    """Yield the content of a member of an archive; its damage is `Damaged` as everywhere."""
    import lzma
    import tarfile
    import zipfile
    import zlib

    try:
        while piece := file.read(SMALL):
            yield piece
    except Damaged:
        raise
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        raise Damaged(str(error) or type(error).__name__) from error


def fill_if_whole(file: Any, size: int) -> bytes:
    """Return the first *size* bytes, fewer at the end and before damage, which the next read tells of."""
    try:
        return fill(file, size)
    except Damaged:
        return b""


def fill(file: Any, size: int) -> bytes:
    """Return *size* bytes, fewer only at the end and before damage: a pipe gives what it has."""
    pieces: list[bytes] = []
    missing = size
    try:
        while missing and (piece := file.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
    except Damaged:
        if not pieces:
            raise
    return b"".join(pieces)


def decoded(stream: Pushed) -> Iterator[bytes]:
    """Yield the stream's bytes; UTF-16 with a byte order mark, as PowerShell writes it, as UTF-8."""
    first = fill(stream, HEAD)  # whole, as the stream's key is made of it
    if not first.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield first
        yield from iter(lambda: fill(stream, CHUNK), b"")
        return
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    while first:
        text = decoder.decode(first).encode("utf-8", "replace")
        if text:
            yield text
        first = fill(stream, CHUNK)
    if text := decoder.decode(b"", final=True).encode():
        yield text


def skip_line(file: Pushed) -> int:
    """Read to the end of the line; return how many bytes that were. What follows the newline is put back."""
    skipped = 0
    while piece := file.read(CHUNK):
        newline = piece.find(b"\n")
        if newline >= 0:
            file._head = piece[newline + 1 :] + file._head
            return skipped + newline + 1
        skipped += len(piece)
    return skipped
