"""Reads files that lie there already: plain or compressed, archives with files in them, folders of all that."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import io
import mmap
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from sentinel.sources.batch import Batch, Input, Loss
from sentinel.sources.records import CHUNK, HEAD, LONGEST, Cutter, digest_of, fingerprint
from sentinel.sources.standard_input import StandardInput
from sentinel.sources.unpack import Damaged, Readable, chunks, kind_of

DEPTH = 3
"""How deep archives are opened inside archives. A bomb that nests further is reported, not unpacked."""


SMALL = 16 * 1024
"""Bytes read at a time of a member: where an archive breaks off, tarfile and zipfile keep back the piece that is not whole."""


PROBES = 64
PROBED = 8192
"""From how many places of a plain file a record is looked at beforehand, and how many bytes there."""


def files(paths: Sequence[str]) -> list[str]:
    """Return the files that *paths* name, folders walked in the order of their names; links in a folder are not followed."""
    found: list[str] = []
    for path in paths:
        here = Path(path)
        if path != "-" and here.is_dir():
            found += sorted(_below(here))
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _below(folder: Path) -> Iterator[str]:
    """Yield what is in a folder. One that may not be looked into is yielded itself, so that its reading fails and is told."""
    closed: list[str] = []
    for where, _folders, names in os.walk(folder, onerror=lambda error: closed.append(str(error.filename))):
        for name in names:
            path = Path(where, name)
            if not path.is_symlink():
                yield str(path)
    yield from closed


def size_of(path: str) -> int:
    """Return how many bytes a file has on disk; 0 when that cannot be told."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


class Archive:
    """One file on disk, read once. After reading, `sha256` is that of the stored bytes, if it was asked for."""

    def __init__(
        self,
        path: str,
        *,
        format: str | None = None,  # noqa: A002
        zone: str | None = None,
        digest: bool = False,
        given: StandardInput | None = None,
    ) -> None:
        """Name the file; "-" is standard input, *given* where it was looked into already. Nothing is opened yet."""
        self.path = path
        self._given = given
        self._format = format
        self._zone = zone
        self._digest = hashlib.sha256() if digest else None
        self.stored_read = 0  # bytes of the stored file that were read so far

    @property
    def sha256(self) -> str | None:
        """The digest of the stored bytes, hex; None when it was not asked for."""
        return self._digest.hexdigest() if self._digest else None

    def batches(self) -> Iterator[Batch]:
        """Yield the content as batches of whole records, one input after the other. Damage is a `Loss`, never an exception.

        A batch's `data` is valid only until the next one is asked for.
        """
        try:
            if self.path != "-" and not stat.S_ISREG(os.stat(self.path).st_mode) and not Path(self.path).is_dir():
                yield self._nothing(self._input(self.path, b"", None), "is no regular file")
                return
            standard = self._given or sys.stdin.buffer
            opened: Any = standard if self.path == "-" else open(self.path, "rb", buffering=0)  # noqa: SIM115
        except OSError as error:
            yield self._nothing(self._input(self.path, b"", None), f"cannot be opened: {error.strerror}")
            return
        with opened as file:
            try:
                yield from self._opened(file)
            except OSError as error:
                yield self._nothing(self._input(self.path, b"", None), f"cannot be read: {error.strerror}")

    def _opened(self, file: BinaryIO) -> Iterator[Batch]:
        counted = _Counted(file, self)
        head = fill(counted, 512)
        stored = Pushed(head, counted)
        modified = None if self.path == "-" else datetime.fromtimestamp(Path(self.path).stat().st_mtime, UTC)
        kind = kind_of(head)
        if kind == "plain" and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
            yield from self._plain(stored, modified)
        elif kind == "zip" and self.path != "-":
            yield from self._zip(Path(self.path), modified)
        else:
            yield from self._unpacked(stored, kind, self.path, modified, DEPTH)
        if self._digest:
            while stored.read(CHUNK):  # what stands after an archive's end belongs to the file too
                pass

    def _plain(self, file: Pushed, modified: datetime | None) -> Iterator[Batch]:
        """Read into one buffer that is used again and again: the path that has to keep up with the scanner."""
        room = mmap.mmap(-1, LONGEST + CHUNK)  # begins at a page's beginning, as reads do: the kernel copies whole pages faster
        view = memoryview(room)
        begin, offset = LONGEST, 0  # the bytes before LONGEST wait for their newline; where they stand in the file
        source: Input | None = None
        losses: tuple[Loss, ...] = ()
        while True:
            read = file.readinto(view[LONGEST:])
            while source is None and read < HEAD and (more := file.readinto(view[LONGEST + read :])):
                read += more  # the first record may come in pieces: a pipe gives what it has
            source = source or self._input(self.path, bytes(view[LONGEST : LONGEST + min(read, HEAD)]), modified)
            filled = LONGEST + read
            end = (room.rfind(b"\n", LONGEST, filled) + 1 or begin) if read else filled
            if end > begin or not read:
                probe = None if offset or self.path == "-" else self._probe
                position = {"offset": offset + end - begin}
                yield Batch(source, view[begin:end], offset, position, _now(), ends=not read, losses=losses, probe=probe)
                losses = ()
            if not read:
                return
            offset += end - begin
            held = filled - end
            begin = LONGEST - held
            if held >= LONGEST:
                skipped = held + _skip_line(file)
                losses = (Loss(offset, skipped, f"a record longer than {LONGEST} bytes"),)
                begin, offset = LONGEST, offset + skipped
            else:
                room.move(begin, end, held)

    def _probe(self) -> list[bytes]:
        """Return records at increasing offsets of the plain file, its last one included, to learn its years from."""
        found = []
        with contextlib.suppress(OSError), open(self.path, "rb") as file:  # what cannot be read is told when it is read
            size = file.seek(0, io.SEEK_END)
            for n in range(PROBES):
                file.seek(size * n // PROBES)
                lines = file.read(PROBED).split(b"\n")
                # The first piece is a part of a record, but at the file's beginning; the last may be one anywhere.
                found += lines[:1] if n == 0 else lines[1:2] if len(lines) > 2 else []
            file.seek(max(0, size - PROBED))
            found += file.read().rstrip(b"\n").rsplit(b"\n", 1)[-1:]
        return found

    def _unpacked(self, file: Readable, kind: str, path: str, modified: datetime | None, depth: int) -> Iterator[Batch]:
        """Read a compressed stream, and what is inside it if that is an archive again."""
        if kind == "tar":
            yield from self._tar(file, path, depth)
            return
        if kind == "zip":
            yield from self._inner_zip(file, path, modified, depth)
            return
        inner = Chunked(chunks(file, kind))
        head = _fill_if_whole(inner, 512)
        again = kind_of(head)
        stream = Pushed(head, inner)
        if kind != "plain" and again != "plain":
            if depth == 0:
                yield self._nothing(self._input(path, b"", modified), "archives are nested too deep")
                return
            yield from self._unpacked(stream, again, path, modified, depth - 1)
            return
        yield from self._lines(stream, path, modified)

    def _lines(self, stream: Pushed, path: str, modified: datetime | None) -> Iterator[Batch]:
        cutter = Cutter()
        source: Input | None = None
        damage: str | None = None
        pieces = _decoded(stream)
        while True:
            try:
                chunk = next(pieces, b"")
            except Damaged as error:
                chunk, damage = b"", str(error)
            source = source or self._input(path, chunk[:HEAD], modified)
            if not chunk:
                break
            for offset, data in cutter.cut(chunk):
                losses = tuple(Loss(at, size, f"a record longer than {LONGEST} bytes") for at, size in cutter.lost)
                cutter.lost = []
                yield Batch(source, memoryview(data), offset, {"offset": offset + len(data)}, _now(), losses=losses)
        offset, tail = cutter.rest()
        losses = tuple(Loss(at, size, f"a record longer than {LONGEST} bytes") for at, size in cutter.lost)
        if damage:
            losses += (Loss(offset + len(tail), None, f"damaged from here on: {damage}"),)
        yield Batch(source, memoryview(tail), offset, {"offset": offset + len(tail)}, _now(), ends=True, losses=losses)

    def _tar(self, file: Readable, path: str, depth: int) -> Iterator[Batch]:
        import tarfile  # these load slowly, and most logs are in no archive

        damage = None
        try:
            counted = _Length(file)
            with tarfile.open(fileobj=counted, mode="r|") as tar:  # type: ignore[call-overload]
                for member in tar:
                    content = tar.extractfile(member) if member.isfile() else None
                    if content is not None:
                        when = datetime.fromtimestamp(max(0, min(member.mtime, 1 << 33)), UTC)
                        yield from self._member(content, f"{path}!{member.name}", when, depth)
            if counted.length % tarfile.BLOCKSIZE:  # tarfile takes half a header for the end
                damage = "tar: truncated"
        except Damaged as error:
            damage = str(error)
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            damage = f"tar: {error}"
        if damage:
            yield self._nothing(self._input(path, b"", None), f"damaged: {damage}")

    def _zip(self, where: Any, modified: datetime | None, path: str | None = None, depth: int = DEPTH) -> Iterator[Batch]:
        import zipfile

        name = path or self.path
        try:
            with zipfile.ZipFile(where) as archive:
                for info in archive.infolist():
                    if info.is_dir():
                        continue
                    try:
                        when = datetime(*info.date_time, tzinfo=UTC)
                    except ValueError:
                        when = modified or _now()
                    try:
                        with archive.open(info) as content:
                            yield from self._member(content, f"{name}!{info.filename}", when, depth)
                    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, ValueError) as error:
                        yield self._nothing(self._input(f"{name}!{info.filename}", b"", when), f"cannot be read: {error}")
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
            yield from self._salvaged(where, name, modified, depth)
            yield self._nothing(self._input(name, b"", modified), f"damaged: zip: {error}")

    def _salvaged(self, where: Any, name: str, modified: datetime | None, depth: int) -> Iterator[Batch]:
        """Read the members of a zip that has no table of contents any more."""
        from sentinel.sources.salvage import members

        with open(where, "rb") if isinstance(where, Path) else where as file:
            for member, content in members(file):
                if not member.name.endswith("/"):
                    yield from self._member(Chunked(content), f"{name}!{member.name}", modified or _now(), depth)

    def _inner_zip(self, file: Readable, path: str, modified: datetime | None, depth: int) -> Iterator[Batch]:
        """A zip is read from its end: one that is inside something else has to be held, so only a small one is."""
        data = bytearray()
        while len(data) <= 64 * CHUNK and (piece := file.read(CHUNK)):
            data += piece
        if len(data) > 64 * CHUNK:
            yield self._nothing(self._input(path, b"", modified), "a zip of more than 64 MiB inside an archive is not opened")
            return
        yield from self._zip(io.BytesIO(data), modified, path, depth - 1)

    def _member(self, content: Readable, path: str, modified: datetime, depth: int) -> Iterator[Batch]:
        guarded = Chunked(_guarded(content))
        head = _fill_if_whole(guarded, 512)
        kind = kind_of(head)
        if kind != "plain" and depth == 0:
            yield self._nothing(self._input(path, b"", modified), "archives are nested too deep")
            return
        yield from self._unpacked(Pushed(head, guarded), kind, path, modified, depth - 1 if kind != "plain" else depth)

    def _input(self, path: str, head: bytes, modified: datetime | None) -> Input:
        return Input(path, fingerprint(head) or digest_of(head + path.encode()), modified, None, self._format, self._zone)

    def _nothing(self, source: Input, reason: str) -> Batch:
        return Batch(source, memoryview(b""), 0, {"offset": 0}, _now(), ends=True, losses=(Loss(0, None, reason),))


class _Counted:
    """The stored file; counts and hashes what is read of it."""

    def __init__(self, file: BinaryIO, archive: Archive) -> None:
        self._file, self._archive = file, archive

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._took(data, len(data))
        return data

    def readinto(self, view: memoryview) -> int:
        read = self._file.readinto(view) or 0  # type: ignore[attr-defined]
        self._took(view[:read], read)
        return int(read)

    def _took(self, data: bytes | memoryview, size: int) -> None:
        self._archive.stored_read += size
        if self._archive._digest:
            self._archive._digest.update(data)


class _Length:
    """A file that counts what is read of it."""

    def __init__(self, file: Readable) -> None:
        self._file, self.length = file, 0

    def read(self, size: int = -1) -> bytes:
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


def _guarded(file: Readable) -> Iterator[bytes]:
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


def _fill_if_whole(file: Any, size: int) -> bytes:
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


def _decoded(stream: Pushed) -> Iterator[bytes]:
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


def _skip_line(file: Pushed) -> int:
    """Read to the end of the line; return how many bytes that were. What follows the newline is put back."""
    skipped = 0
    while piece := file.read(CHUNK):
        newline = piece.find(b"\n")
        if newline >= 0:
            file._head = piece[newline + 1 :] + file._head
            return skipped + newline + 1
        skipped += len(piece)
    return skipped


def _now() -> datetime:
    return datetime.now(UTC)
