"""Finds where the rotated copies of a log lie, and what stream a file holds."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from sentinel.sources.archive import Archive
from sentinel.sources.records import CHUNK, HEAD, fingerprint
from sentinel.sources.unpack import kind_of

COMPRESSED = (".gz", ".zst", ".xz", ".bz2")


def siblings(log: str) -> list[str]:
    """Return the rotated copies of *log* beside it, the one that was changed longest ago first.

    `access.log.1`, `access.log-20260101.gz` and, as logrotate's `extension` makes them, `access-20260101.log`.
    """
    path = Path(log)
    beside = {str(file) for file in path.parent.glob(glob.escape(path.name) + "[.-]*")}
    if path.suffix:
        for ending in ("", *COMPRESSED):
            pattern = f"{glob.escape(path.stem)}[.-]*{glob.escape(path.suffix)}{ending}"
            beside.update(str(file) for file in path.parent.glob(pattern))
    beside.discard(str(path))
    return sorted((file for file in beside if is_whole(file)), key=lambda file: (changed(file), file))


def is_whole(path: str) -> bool:
    """Return whether a file is there, and no compressed copy that is still being written: while it is, its plain one stays."""
    return Path(path).is_file() and not (is_compressed(path) and Path(path).with_suffix("").exists())


def is_compressed(path: str) -> bool:
    """Return whether the name says so: rotation names what it compresses, and a live log has to be plain."""
    return path.endswith(COMPRESSED)


def key_of(path: str) -> str | None:
    """Return the fingerprint of a file's content, compressed or not; None when it has none yet or cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    return fingerprint(head if kind_of(head) == "plain" else b"".join(data for _, data in pieces(path, HEAD)))


def tail_of(path: str, offset: int, size: int) -> bytes:
    """Return the *size* bytes before *offset* of a file's decompressed content; fewer when it ends earlier or is damaged."""
    if not is_compressed(path):
        with open(path, "rb") as file:
            file.seek(offset - size)
            return file.read(size)
    kept = b""
    for at, data in pieces(path, offset):
        kept = (kept + data[: offset - at])[-size:]
    return kept


def pieces(path: str, until: int) -> Iterator[tuple[int, bytes]]:
    """Yield the decompressed content of *path* as (offset, bytes), no further than to *until* or a little beyond."""
    for batch in Archive(path).batches():
        if batch.input.path != path:  # the member of an archive: no rotated log
            return
        yield batch.offset, bytes(batch.data)
        if batch.offset + len(batch.data) >= until:
            return


def last_newline(path: str) -> int:
    """Return where the last whole record of a plain file ends."""
    with open(path, "rb") as file:
        at = file.seek(0, os.SEEK_END)
        while at > 0:
            begin = max(0, at - CHUNK)
            file.seek(begin)
            newline = file.read(at - begin).rfind(b"\n")
            if newline >= 0:
                return begin + newline + 1
            at = begin
    return 0


def changed(path: str) -> float:
    """Return when a file was last written (Unix seconds), 0 when it is gone."""
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0
