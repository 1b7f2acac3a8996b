"""Where files lie: on this machine, or in storage that is named by a URL (`s3://`, `gs://`, `abfs://`, `hdfs://`, `sftp://`).

Storage elsewhere is reached through fsspec (the extra `remote`), with whatever credentials its own tools find: environment,
profiles, `~/.config/fsspec`. It is read only.

Reference: https://filesystem-spec.readthedocs.io/en/latest/api.html#built-in-implementations
"""

from __future__ import annotations

import contextlib
import errno
import glob
import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sentinel.sources.records import CHUNK

_URL = re.compile(r"(?:s3a?|gc?s|abfss?|az|hdfs|sftp|ssh)://")
_BLOCK = 8 * CHUNK
"""Bytes that are asked of storage elsewhere at a time: each request takes a while, however much it brings."""

_CHANGED = ("LastModified", "last_modified", "mtime", "updated", "created")
"""What file systems call the time of the last change."""


def is_remote(path: str) -> bool:
    """Return whether *path* is a URL."""
    return _URL.match(path) is not None


def files(paths: Sequence[str]) -> list[str]:
    """Return the files that *paths* name, folders walked in the order of their names; links in a folder are not followed."""
    found: list[str] = []
    for path in paths:
        if is_remote(path):
            found += _remote_files(path)
        elif path != "-" and Path(path).is_dir():
            found += sorted(_below(Path(path)))
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
    """Return how many bytes a file has where it lies; 0 when that cannot be told."""
    with contextlib.suppress(OSError):
        return int(_remote_info(path).get("size") or 0) if is_remote(path) else os.stat(path).st_size
    return 0


def changed(path: str) -> datetime | None:
    """Return when a file was last changed, in UTC; None where its storage does not say.

    Raises:
        OSError: It cannot be looked at.
    """
    if not is_remote(path):
        return datetime.fromtimestamp(Path(path).stat().st_mtime, UTC)
    info = _remote_info(path)
    when = next((info[name] for name in _CHANGED if info.get(name) is not None), None)
    if isinstance(when, int | float):
        return datetime.fromtimestamp(when, UTC)
    return when.astimezone(UTC) if isinstance(when, datetime) else None


def opened(path: str) -> io.RawIOBase:
    """Open a file for reading.

    Raises:
        OSError: It is not there, is no file that can be read to an end, or its storage cannot be reached.
    """
    if is_remote(path):
        system, inner = _system(path)
        with _as_os_error():
            return _Remote(system.open(inner, "rb", block_size=_BLOCK))
    if not stat.S_ISREG(os.stat(path).st_mode) and not Path(path).is_dir():
        raise OSError(errno.EINVAL, "it is no regular file")
    return open(path, "rb", buffering=0)


class _Remote(io.RawIOBase):
    """A file in storage elsewhere, whose errors are those of files here."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, room: Any, /) -> int:
        with _as_os_error():
            data = self._file.read(len(room))
        room[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with _as_os_error():
            self._file.seek(offset, whence)
            return int(self._file.tell())

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """Turn whatever a file system's library raises, which is another class for each, into an OSError that says it."""
    try:
        yield
    except OSError as error:
        if error.strerror:
            raise
        raise OSError(error.errno or errno.EIO, str(error) or type(error).__name__) from error
    except Exception as error:
        raise OSError(errno.EIO, f"{type(error).__name__}: {error}") from error


def _system(path: str) -> tuple[Any, str]:
    """Return the file system of a URL, and what the file is called in it.

    Raises:
        OSError: The library for it is not installed, or it cannot be reached.
    """
    try:
        import fsspec

        with _as_os_error():
            system, inner = fsspec.core.url_to_fs(path)
    except (ImportError, OSError) as error:
        if isinstance(error, ImportError) or "ImportError" in str(error):
            said = f"{error}; pip install 'sentinel-face-search[remote]' brings what it needs"
            raise OSError(errno.ENOPROTOOPT, said) from error
        raise
    return system, inner


def _remote_info(path: str) -> dict[str, Any]:
    system, inner = _system(path)
    with _as_os_error():
        return dict(system.info(inner))


def _remote_files(path: str) -> list[str]:
    """Return the files below a URL, or that match it as a pattern; the URL itself where there are none: that is told then."""
    try:
        system, inner = _system(path)
        with _as_os_error():
            if glob.has_magic(inner):
                found = [one for one in system.glob(inner) if system.isfile(one)]
            else:
                found = system.find(inner) if system.isdir(inner) else [inner]
    except OSError:
        return [path]
    before = path.removesuffix(inner) if path.endswith(inner) else None
    return [before + one if before is not None else system.unstrip_protocol(one) for one in sorted(found)] or [path]
