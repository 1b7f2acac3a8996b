"""Follows log files while they grow, are rotated in any way, and while nobody was looking.

A stream of records is known by its first record (`records.fingerprint`) and, where two begin alike, by the bytes before the
place up to which it was read; not by its path or inode. Rename, copytruncate and compression move it, and an inode may be given
to another file. What was read of a stream is an offset in its own, decompressed bytes.

What cannot be saved: copytruncate itself loses what is written between its copy and its truncation; what was truncated or
deleted before it was read is lost unless a rotated copy lies beside the log, and is reported as a `Loss` where it is known.
"""

from __future__ import annotations

import glob
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

import structlog
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from sentinel.sources.archive import Archive
from sentinel.sources.batch import Batch, Input, Loss, Position
from sentinel.sources.records import CHUNK, LONGEST, digest_of, fingerprint
from sentinel.sources.rotated import is_compressed, is_whole, key_of, last_newline, siblings, tail_of

log = structlog.get_logger()

GRACE = 5.0
"""Seconds without new bytes for which a renamed file is still read: programs write to it until they learn of the rotation."""

TAIL = 64
"""Bytes before the offset that a position keeps: they tell a file that only grew from one that was truncated and grew again."""

COARSE = 0.02
"""Seconds by which a file's mtime may lie before the clock at its writing: kernels take it from the last tick."""

WAKES = frozenset({"modified", "created", "moved", "deleted"})
"""File events that can mean bytes to read. Our own reading makes others, which must not wake us."""


@dataclass(slots=True)
class _Mark:
    """How far a stream was read."""

    path: str  # where it lay last
    log: str  # the path at which it was followed first: its rotated copies lie beside that
    offset: int = 0
    tail: bytes = b""
    device: int = 0
    inode: int = 0
    done: bool = False
    size: int | None = None  # of the file, as last seen; None after a restart

    def advance(self, data: bytes) -> None:
        self.offset += len(data)
        self.tail = (self.tail + data[-TAIL:])[-TAIL:]


@dataclass(slots=True)
class _Stream:
    """A file that is being read."""

    source: Input
    mark: _Mark
    file: BinaryIO
    unpacked: Iterator[Batch] | None = None  # of a compressed copy
    left: float | None = None  # since when its path names another file and nothing new came (monotonic seconds)
    losses: list[Loss] = field(default_factory=list)
    skipping: int | None = None  # where a record that is too long began

    def close(self) -> None:
        self.file.close()


class Follow:
    """One source: some paths and globs, and the files that they name over time."""

    def __init__(
        self,
        patterns: Sequence[str],
        *,
        start: Literal["beginning", "end"] = "beginning",
        poll_secs: float = 1.0,
        format: str | None = None,  # noqa: A002
        zone: str | None = None,
    ) -> None:
        """Name what to follow; nothing is opened yet.

        Args:
            patterns: Paths and globs; files that appear later are followed too, from their beginning.
            start: Where a file that is there at the first start begins to be read.
            poll_secs: How often to look when no file event tells of a change.
            format: The format's name, when it is not to be told from the records.
            zone: IANA name of the zone of times that carry none.
        """
        self._patterns = list(patterns)
        self._start = start
        self._poll_secs = poll_secs
        self._format = format
        self._zone = zone
        self._itself = Input(", ".join(patterns), "follow-" + digest_of("\0".join(patterns).encode()))
        self._since = 0.0  # Unix seconds of the first start: what was rotated away before is none of ours
        self._marks: dict[str, _Mark] = {}  # by `Input.key`; of all that was ever read: other copies are new
        self._open: dict[str, _Stream] = {}  # older files of a log before newer ones
        self._settled: dict[tuple[int, ...], tuple[int, ...]] = {}  # files with nothing to read in them, until they change
        self._restless: dict[str, float] = {}  # logs that were rotated, and until when (monotonic) to look beside them
        self._wake = threading.Event()

    def batches(self, stop: threading.Event, positions: Mapping[str, Position]) -> Iterator[Batch]:
        """Yield what is written, until *stop*. *positions* are those that were committed, by `Input.key`.

        Each batch owns its bytes. One with `caught_up` is empty, and says that there is nothing more for now.
        """
        watching = self._watch()
        try:
            yield from self._resume(positions) if self._recall(positions) else self._begin()
            told = False
            while not stop.is_set():
                read = False
                for batch in self._round():
                    read = True
                    yield batch
                    if stop.is_set():
                        return
                for batch in self._look():
                    read = True
                    yield batch
                if read:
                    told = False
                    continue
                if not told:
                    told = True
                    yield self._own_batch(caught_up=True)
                self._rest(stop)
        finally:
            if watching is not None:
                watching.stop()
                watching.join(1)
            for stream in self._open.values():
                stream.close()

    def _rest(self, stop: threading.Event) -> None:
        """Wait for a file event, at most until the next poll; look at *stop* in between."""
        until = time.monotonic() + self._poll_secs
        while not stop.is_set() and time.monotonic() < until:
            if self._wake.wait(min(0.2, self._poll_secs)):
                break
        self._wake.clear()

    def _watch(self) -> Any:
        """Ask for file events in the folders of the patterns. Without them polling serves alone."""
        observer = Observer()
        wake = self._wake

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                if event.event_type in WAKES:
                    wake.set()

        try:
            for folder in sorted({_fixed_part(pattern) for pattern in self._patterns}):
                if Path(folder).is_dir():
                    observer.schedule(Handler(), folder)
            observer.start()
        except OSError as error:
            log.warning("no file events, polling alone", reason=str(error), poll_secs=self._poll_secs)
            return None
        return observer

    # Where to go on.

    def _recall(self, positions: Mapping[str, Position]) -> bool:
        """Take over the committed positions of this source; return whether there are any: then this is not the first start."""
        mine = {key: p for key, p in positions.items() if set(p.get("patterns", ())) & set(self._patterns)}
        since = [float(p["since"]) for p in mine.values() if "since" in p]
        self._since = min(since, default=time.time() - COARSE)
        for key, p in mine.items():
            if "offset" in p:
                tail = bytes.fromhex(p["tail"])
                where = (p["path"], p["log"], p["offset"], tail, p["device"], p["inode"], p["done"])
                self._marks[key] = _Mark(*where)
        return bool(mine)

    def _begin(self) -> Iterator[Batch]:
        """At the first start, say from where each file is read: a restart must not take a later end for it."""
        yield self._own_batch()
        for path in self._matching():
            key = key_of(path)
            if key is None or key in self._marks:
                continue
            if self._start == "beginning":
                yield from self._take_up(path, path, key)
            elif is_compressed(path):
                self._marks[key] = _Mark(path, path, done=True)
                yield Batch(self._input(path, key), memoryview(b""), 0, self._position(self._marks[key]), _now(), ends=True)
            else:
                end = last_newline(path)
                self._marks[key] = _Mark(path, path, end, tail_of(path, end, min(end, TAIL)))
                yield from self._take_up(path, path, key)
                if key in self._open:
                    yield self._batch(self._open[key], b"")

    def _resume(self, positions: Mapping[str, Position]) -> Iterator[Batch]:
        """Go on in whatever files the streams lie now, and in what was rotated away since."""
        if self._itself.key not in positions:
            yield self._own_batch()
        for path in self._matching():  # before their copies, of which there may be some although they go on
            if (state := _state(path)) and (key := key_of(path)) and any(_first(known) == key for known in self._marks):
                yield from self._consider(path, path, state)
        for name in dict.fromkeys([mark.log for mark in self._marks.values()] + self._matching()):
            yield from self._look_beside(name)
        yield from self._look()

    def _gone(self, key: str, mark: _Mark) -> Batch:
        losses: tuple[Loss, ...] = ()
        if mark.size is None or mark.size > mark.offset:
            losses = (Loss(mark.offset, None, "the file was deleted or truncated, and with it what was not read yet"),)
            log.error("records are lost", path=mark.log, offset=mark.offset, reason=losses[0].reason)
        mark.done = True
        where = self._position(mark)
        return Batch(self._input(mark.log, key), memoryview(b""), mark.offset, where, _now(), ends=True, losses=losses)

    # What the paths name.

    def _matching(self) -> list[str]:
        paths: list[str] = []
        for pattern in self._patterns:
            paths += sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else [pattern]
        return [path for path in dict.fromkeys(paths) if is_whole(path)]

    def _look(self) -> Iterator[Batch]:
        """See what the paths name now: new files, and files that were renamed away or deleted."""
        named: set[tuple[int, ...]] = set()
        held = self._inodes()
        for path in self._matching():
            state = _state(path)
            named.add(state[:2])
            if state and state[:2] not in held and self._settled.get(state[:2]) != state:
                yield from self._look_beside(path)
                yield from self._consider(path, path, state)
                held = self._inodes()
        now = time.monotonic()
        for name in [name for name, until in self._restless.items() if until > now]:
            yield from self._consider_all(name)
        yield from self._give_up()
        for key, stream in list(self._open.items()):
            if (stream.mark.device, stream.mark.inode) in named or stream.unpacked is not None:
                stream.left = None
            elif stream.left is None:
                stream.left = now
            elif now - stream.left > self._grace():
                yield from self._finished(key, stream)

    def _look_beside(self, name: str) -> Iterator[Batch]:
        """Take up the rotated copies of a log that hold unread records, now and for a while: rotation may be under way."""
        self._restless[name] = time.monotonic() + self._grace()
        yield from self._consider_all(name)

    def _consider_all(self, name: str) -> Iterator[Batch]:
        for path in siblings(name):
            state = _state(path)
            if state and state[:2] not in self._inodes() and self._settled.get(state[:2]) != state:
                yield from self._consider(path, name, state)

    def _give_up(self) -> Iterator[Batch]:
        """Tell of streams whose file is nowhere, when rotation has had the time to end."""
        now = time.monotonic()
        for key, mark in list(self._marks.items()):
            if key not in self._open and not mark.done and self._restless.get(mark.log, 0.0) < now:
                yield self._gone(key, mark)

    def _grace(self) -> float:
        return max(GRACE, 2 * self._poll_secs)

    def _inodes(self) -> set[tuple[int, ...]]:
        return {(stream.mark.device, stream.mark.inode) for stream in self._open.values()}

    def _consider(self, path: str, name: str, state: tuple[int, ...]) -> Iterator[Batch]:
        """Begin to read a file unless all of it is known. A copy from before the first start is none of ours."""
        first = key_of(path)
        key = self._which(path, first) if first else None
        if key in self._open or _changed_since(path, state):
            return
        mark = self._marks.get(key) if key else None
        unknown_and_old = mark is None and path != name and state[3] / 1e9 < self._since
        read_already = mark is not None and mark.done and (is_compressed(path) or state[2] <= mark.offset)
        if key is None or unknown_and_old or read_already:
            self._settled[state[:2]] = state
            return
        yield from self._take_up(path, name, key)

    def _which(self, path: str, first: str) -> str:
        """Return the key of the stream that *path* holds, whose first record has the fingerprint *first*; or a new key."""
        generation = 1
        while (key := first if generation == 1 else f"{first}-{generation}") in self._marks:
            if self._goes_on(path, key):
                return key
            generation += 1
        return key

    def _goes_on(self, path: str, key: str) -> bool:
        """Return whether *path* is the stream of *mark*, or a copy of it, rather than another that only begins alike."""
        mark = self._marks[key]
        if is_compressed(path):
            return mark.done or tail_of(path, mark.offset, len(mark.tail)) == mark.tail
        try:
            size = Path(path).stat().st_size
            if size < mark.offset:
                return path != mark.log and self._begins_so(path, size, key)  # the log itself was begun anew
            return tail_of(path, mark.offset, len(mark.tail)) == mark.tail
        except OSError:
            return True

    def _begins_so(self, path: str, size: int, key: str) -> bool:
        """Return whether *path* holds the first *size* bytes of a stream: a copy that was made earlier, or is being made."""
        stream = self._open.get(key)
        if stream is None or stream.unpacked is not None:
            return True
        back = min(size, TAIL)
        return os.pread(stream.file.fileno(), back, size - back) == tail_of(path, size, back)

    def _take_up(self, path: str, name: str, key: str) -> Iterator[Batch]:
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 - kept open for as long as the file is followed
            seen = os.fstat(file.fileno())
        except OSError as error:
            log.warning("file cannot be opened now", path=path, reason=error.strerror)
            return
        itself = f"/proc/self/fd/{file.fileno()}"  # the path may name another file any moment
        if key_of(itself) != _first(key):  # rotated between looking and opening
            file.close()
            return
        mark = self._marks.setdefault(key, _Mark(path, name))
        if is_compressed(path):
            mark.path, mark.device, mark.inode, mark.done = path, seen.st_dev, seen.st_ino, False
            log.info("reading a compressed copy", path=path, offset=mark.offset)
            source = self._input(path, key)
            self._open[key] = _Stream(source, mark, file, self._unpack(itself, source, mark))
            return
        if seen.st_size < mark.offset:  # a copy that was made before we read on
            file.close()
            if path != mark.log and not mark.done:
                mark.done = True
                yield Batch(self._input(path, key), memoryview(b""), mark.offset, self._position(mark), _now(), ends=True)
            return
        mark.path, mark.device, mark.inode, mark.done = path, seen.st_dev, seen.st_ino, False
        self._open[key] = _Stream(self._input(path, key), mark, file)

    # Reading.

    def _round(self) -> Iterator[Batch]:
        """Give each log its turn of at most about a megabyte. Its newer files wait until the older ones are read."""
        busy: set[str] = set()
        for key, stream in list(self._open.items()):
            if stream.mark.log in busy:
                continue
            for batch in self._turn(key, stream):
                busy.add(stream.mark.log)
                yield batch

    def _turn(self, key: str, stream: _Stream) -> Iterator[Batch]:
        if stream.unpacked is None:
            yield from self._read(key, stream)
        elif (batch := next(stream.unpacked, None)) is not None:
            yield batch
        else:
            stream.close()
            del self._open[key]

    def _read(self, key: str, stream: _Stream) -> Iterator[Batch]:
        """Yield the next whole records of a plain file, if there are any."""
        mark = stream.mark
        back = len(mark.tail)
        try:
            data = os.pread(stream.file.fileno(), CHUNK + back, mark.offset - back)
            size = os.fstat(stream.file.fileno()).st_size
        except OSError as error:  # NFS that does not answer, a stale handle: open it anew
            log.warning("file cannot be read now", path=mark.path, reason=error.strerror)
            stream.close()
            del self._open[key]
            self._restless[mark.log] = time.monotonic() + self._grace()
            return
        if data[:back] != mark.tail or (not back and fingerprint(data) != _first(key)):
            yield from self._truncated(key, stream)
            return
        mark.size = size
        yield from self._cut(stream, data[back:])

    def _cut(self, stream: _Stream, data: bytes) -> Iterator[Batch]:
        if not data:
            return
        if stream.skipping is not None:
            newline = data.find(b"\n") + 1
            stream.mark.advance(data[:newline] if newline else data)
            if newline:
                length = stream.mark.offset - stream.skipping
                stream.losses.append(Loss(stream.skipping, length, f"a record longer than {LONGEST} bytes"))
                stream.skipping = None
                yield self._batch(stream, b"")
            return
        end = data.rfind(b"\n") + 1
        if end:
            stream.mark.advance(data[:end])
            stream.left = None
            yield self._batch(stream, data[:end])
        elif len(data) >= LONGEST:
            stream.skipping = stream.mark.offset
            self._wake.set()  # there is more to read

    def _truncated(self, key: str, stream: _Stream) -> Iterator[Batch]:
        """After a copytruncate, read the rest of the old content in its copy; the file itself begins anew."""
        mark = stream.mark
        stream.close()
        del self._open[key]
        log.info("file was truncated", path=mark.path, read=mark.offset)
        yield from self._look_beside(mark.log)
        self._wake.set()

    def _finished(self, key: str, stream: _Stream) -> Iterator[Batch]:
        """Read what is left of a file that is at its end for good, its last record too when that lacks the newline."""
        while key in self._open and (batches := list(self._read(key, stream))):
            yield from batches
        if self._open.get(key) is not stream:
            return
        mark = stream.mark
        rest = b""
        if stream.skipping is None:
            rest = os.pread(stream.file.fileno(), LONGEST, mark.offset)
        else:
            size = os.fstat(stream.file.fileno()).st_size
            stream.losses.append(Loss(stream.skipping, size - stream.skipping, f"a record longer than {LONGEST} bytes"))
        mark.advance(rest)
        mark.done = True
        stream.close()
        del self._open[key]
        yield self._batch(stream, rest, ends=True)

    def _unpack(self, path: str, source: Input, mark: _Mark) -> Iterator[Batch]:
        """Read a compressed copy from the mark to its end."""
        losses: tuple[Loss, ...] = ()
        for batch in Archive(path).batches():
            losses += batch.losses
            end = batch.offset + len(batch.data)
            if batch.input.path == path and end > mark.offset:
                data = bytes(batch.data[max(0, mark.offset - batch.offset) :])
                at = end - len(data)
                mark.offset = at
                mark.advance(data)
                yield Batch(source, memoryview(data), at, self._position(mark), _now(), losses=losses)
                losses = ()
        mark.done = True
        yield Batch(source, memoryview(b""), mark.offset, self._position(mark), _now(), ends=True, losses=losses)

    # What is handed out.

    def _input(self, path: str, key: str) -> Input:
        try:
            seen = Path(path).stat()
        except OSError:
            return Input(path, key, None, None, self._format, self._zone)
        return Input(path, key, datetime.fromtimestamp(seen.st_mtime, UTC), seen.st_ino, self._format, self._zone)

    def _batch(self, stream: _Stream, data: bytes, *, ends: bool = False) -> Batch:
        losses, stream.losses = tuple(stream.losses), []
        at = stream.mark.offset - len(data)
        return Batch(stream.source, memoryview(data), at, self._position(stream.mark), _now(), ends=ends, losses=losses)

    def _own_batch(self, *, caught_up: bool = False) -> Batch:
        """Tell something of the source as a whole, which need not have a file yet."""
        where = {"patterns": self._patterns, "since": self._since}
        return Batch(self._itself, memoryview(b""), 0, where, _now(), caught_up=caught_up)

    def _position(self, mark: _Mark) -> Position:
        return {
            "patterns": self._patterns,
            "path": mark.path,
            "log": mark.log,
            "device": mark.device,
            "inode": mark.inode,
            "offset": mark.offset,
            "tail": mark.tail.hex(),
            "done": mark.done,
        }


def _first(key: str) -> str:
    """Return the fingerprint of a stream's first record, which its key begins with."""
    return key.partition("-")[0]


def _state(path: str) -> tuple[int, ...]:
    """Return device, inode, size and mtime (ns) of a file; nothing when it is gone."""
    try:
        seen = Path(path).stat()
    except OSError:
        return ()
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _changed_since(path: str, state: tuple[int, ...]) -> bool:
    """Return whether *path* is being rotated: what was just read of it may be another file's. It is looked at again later."""
    now = _state(path)
    if is_compressed(path):  # one that is still being written would seem to be a shorter log, another one than its plain copy
        return now != state or not is_whole(path)
    return now[:2] != state[:2] or now[2] < state[2]


def _fixed_part(pattern: str) -> str:
    """Return the folder above a pattern's first wildcard."""
    parts = Path(pattern).parts
    fixed = parts[: next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)]
    return str(Path(*fixed)) if fixed else "."


def _now() -> datetime:
    return datetime.now(UTC)
