"""Reads files that lie there already: plain or compressed, archives with files in them, folders of all that."""

from __future__ import annotations

import contextlib
import hashlib
import io
import mmap
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

from sentinel.sources.batch import Batch, Input, Loss
from sentinel.sources.containers import container_in, open_container
from sentinel.sources.places import changed, is_remote, opened
from sentinel.sources.readables import Chunked, Counted, Length, Pushed, decoded, fill, fill_if_whole, guarded, skip_line
from sentinel.sources.records import CHUNK, HEAD, LONGEST, Cutter, digest_of, fingerprint
from sentinel.sources.standard_input import StandardInput
from sentinel.sources.unpack import Damaged, Readable, chunks, kind_of

DEPTH = 3
"""How deep archives are opened inside archives. A bomb that nests further is reported, not unpacked."""


PROBES = 64
PROBED = 8192
"""From how many places of a plain file a record is looked at beforehand, and how many bytes there."""


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
            stored: Any = (self._given or sys.stdin.buffer) if self.path == "-" else opened(self.path)
        except OSError as error:
            yield self._nothing(self._input(self.path, b"", None), f"cannot be opened: {error.strerror}")
            return
        with stored as file:
            try:
                yield from self._opened(file)
            except OSError as error:
                yield self._nothing(self._input(self.path, b"", None), f"cannot be read: {error.strerror}")

    def _took(self, data: bytes | memoryview) -> None:
        self.stored_read += len(data)
        if self._digest:
            self._digest.update(data)

    def _opened(self, file: BinaryIO) -> Iterator[Batch]:
        counted = Counted(file, self._took)
        head = fill(counted, 512)
        stored = Pushed(head, counted)
        modified = None if self.path == "-" else changed(self.path)
        kind, container = kind_of(head), container_in(head)
        if container:
            yield from self._container(container, stored, self.path, modified)
        elif kind == "plain" and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
            yield from self._plain(stored, modified)
        elif kind == "zip" and self.path != "-":
            with io.BufferedReader(opened(self.path)) as again:  # it is read from its end
                yield from self._zip(again, modified)
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
                skipped = held + skip_line(file)
                losses = (Loss(offset, skipped, f"a record longer than {LONGEST} bytes"),)
                begin, offset = LONGEST, offset + skipped
            else:
                room.move(begin, end, held)

    def _probe(self) -> list[bytes]:
        """Return records at increasing offsets of the plain file, its last one included, to learn its years from."""
        found: list[bytes] = []
        with contextlib.suppress(OSError), opened(self.path) as file:  # what cannot be read is told when it is read
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
        head = fill_if_whole(inner, 512)
        again = kind_of(head)
        stream = Pushed(head, inner)
        if kind != "plain" and again != "plain":
            if depth == 0:
                yield self._nothing(self._input(path, b"", modified), "archives are nested too deep")
                return
            yield from self._unpacked(stream, again, path, modified, depth - 1)
            return
        container = container_in(head)
        if container:
            yield from self._container(container, stream, path, modified)
        else:
            yield from self._lines(stream, path, modified)

    def _container(self, kind: str, stream: Pushed, path: str, modified: datetime | None) -> Iterator[Batch]:
        """Read records that are no lines."""
        where = path if path == self.path and path != "-" and not is_remote(path) else None
        yield from open_container(kind, stream, path, modified, where=where, zone=self._zone)

    def _lines(self, stream: Pushed, path: str, modified: datetime | None) -> Iterator[Batch]:
        cutter = Cutter()
        source: Input | None = None
        damage: str | None = None
        pieces = decoded(stream)
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
            counted = Length(file)
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

        for member, content in members(where):
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
        inner = Chunked(guarded(content))
        head = fill_if_whole(inner, 512)
        kind = kind_of(head)
        if kind != "plain" and depth == 0:
            yield self._nothing(self._input(path, b"", modified), "archives are nested too deep")
            return
        yield from self._unpacked(Pushed(head, inner), kind, path, modified, depth - 1 if kind != "plain" else depth)

    def _input(self, path: str, head: bytes, modified: datetime | None) -> Input:
        return Input(path, fingerprint(head) or digest_of(head + path.encode()), modified, None, self._format, self._zone)

    def _nothing(self, source: Input, reason: str) -> Batch:
        return Batch(source, memoryview(b""), 0, {"offset": 0}, _now(), ends=True, losses=(Loss(0, None, reason),))


def _now() -> datetime:
    return datetime.now(UTC)
