"""JSON lines, or CEF lines, in a file: one alert a line, for programs that follow it.

Each line is one write at the file's end, under the file's lock, so that lines of several writers never mix. `Delivered` means
that the line is on disk: `fsync` comes once after each batch, not after each line. A file that was renamed or removed is made
anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from sentinel.sinks.kind import SinkKind, SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Outcome, Retry

MODE = 0o640
"""Of a new file: alerts say who did what, so that others may not read them."""


class FileSettings(SinkSettings):
    """A file that grows by a line for each alert."""

    type: Literal["file"]
    path: Path = Field(description="The file. Its folder has to exist.")
    schema_: Literal["json", "ecs", "ocsf", "cim", "asim", "cloudevents", "gelf", "cef", "leef"] = Field(
        "json", alias="schema", description="How alerts are written."
    )

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in."""
        return self.schema_


class FileSink:
    """Appends to one file."""

    def __init__(self, settings: FileSettings) -> None:
        """Open nothing yet."""
        self._path = settings.path
        self._file: int | None = None

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Append *documents*. One that was not written whole is tried again, and what is there of it gets a line of its own."""
        outcomes: list[Outcome] = []
        try:
            file = self._current()
            with _locked(file):
                # A crash or a full disk may have left half a line, which must not swallow the next one.
                torn = _is_torn(file)
                for document in documents:
                    _append(file, b"\n" * torn + document.body + b"\n")
                    torn = False
                    outcomes.append(Delivered())
            os.fsync(file)
            if os.fstat(file).st_nlink == 0:
                raise FileNotFoundError(0, "it was removed while it was written")
        except OSError as error:
            self.close()
            return [Retry(f"{self._path}: {error.strerror}")] * len(documents)
        return outcomes

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
        self._file = None

    def _current(self) -> int:
        """Return the file that is at the path now."""
        if self._file is not None and not self._is_at_path(self._file):
            self.close()
        if self._file is None:
            self._file = self._open()
        return self._file

    def _is_at_path(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False

    def _open(self) -> int:
        # Non-blocking, as a named pipe without a reader would never open; for a regular file it means nothing.
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, MODE)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(0, "not a regular file")
            if status.st_size == 0:
                _sync_folder(self._path.parent)
        except OSError:
            os.close(file)
            raise
        return file


@contextlib.contextmanager
def _locked(file: int) -> Iterator[None]:
    """Keep other writers out: the size of a file already grows while one of them still writes its line."""
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _is_torn(file: int) -> bool:
    """Return whether the last line has no end."""
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) not in (b"\n", b"")


def _append(file: int, line: bytes) -> None:
    written = os.write(file, line)
    if written < len(line):
        raise OSError(0, f"only {written} of {len(line)} bytes were written")


def _sync_folder(folder: Path) -> None:
    """Make a new file's name last: `fsync` of the file alone does not."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


SINK = SinkKind(name="file", settings=FileSettings, open=FileSink, batch=200)
