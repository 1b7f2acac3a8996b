"""Compiles needles into a Hyperscan database, and keeps large ones: a hundred thousand literals take it ten seconds.

A kept database is named by what it was made of and by the library's version. It is believed as the kept rules are
(`compiled.py`), and the library checks it as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence

import hyperscan

from sentinel.signatures.compiled import cache_folder, is_ours

LARGE = 2_000
"""Needles from which on a database is kept: fewer are compiled in less time than it takes to look."""

MANY = 250
"""Literals from which on Hyperscan, looking at every fourth byte, has more to check than it saves by it."""

SHORT = rb"\x01\x02\x03"
"""A literal of three bytes, which hardly occurs, lets it look at every second one."""

KEPT = 8
"""Databases that are kept, the last used; one of a hundred thousand needles has twelve megabytes."""


def compiled(needles: Sequence[bytes], flags: Sequence[int]) -> hyperscan.Database:
    """Return *needles*, regular expressions, ready to scan with."""
    if len(needles) >= MANY:
        needles, flags = [*needles, SHORT], [*flags, 0]
    kept = cache_folder() / f"scanner-{_key(needles, flags)}.db" if len(needles) >= LARGE else None
    if kept is not None:
        with contextlib.suppress(OSError, hyperscan.error), kept.open("rb") as file:
            if is_ours(file.fileno()):
                found = hyperscan.loadb(file.read(), hyperscan.HS_MODE_BLOCK)
                found.scratch = hyperscan.Scratch(found)
                os.utime(kept)
                return found
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=list(needles), flags=list(flags), ids=list(range(len(needles))))
    if kept is not None:
        partial = kept.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):  # no home, or one that may not be written: the next run compiles again
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial.touch(mode=0o600)
            partial.write_bytes(hyperscan.dumpb(database))
            partial.replace(kept)
            for old in sorted(kept.parent.glob("scanner-*.db"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
                old.unlink()
    return database


def _key(needles: Sequence[bytes], flags: Sequence[int]) -> str:
    seen = hashlib.sha256(f"{hyperscan.__version__} {len(needles)}\n".encode())  # type: ignore[attr-defined]  # its stub lacks it
    for needle, flag in zip(needles, flags, strict=True):
        seen.update(b"%d %d %b\n" % (flag, len(needle), needle))
    return seen.hexdigest()[:40]
