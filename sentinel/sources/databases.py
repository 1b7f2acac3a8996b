"""Databases that programs keep of what was visited or asked for: Pi-hole, Chrome and its kin, Firefox.

They are opened so that nothing of them changes, and also while the program that owns them runs and holds its locks: a database
without a journal beside it as it stands, one with a journal from a copy, together with it.

References: https://docs.pi-hole.net/database/query-database/,
https://chromium.googlesource.com/chromium/src/+/main/components/history/core/browser/visit_database.cc,
https://searchfox.org/mozilla-central/source/toolkit/components/places/nsPlacesTables.h
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sentinel.sources.batch import Batch, Input, Loss
from sentinel.sources.containers import ROWS, batch_of

TRIES = 5
"""So often a database that was changed while it was read is read again."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a program keeps, and how its rows are read: from the number on that is given, in the order of their numbers."""

    format: str
    tables: frozenset[str]  # by which it is told
    query: str


KINDS = (
    Kind(
        "pihole-ftl",
        frozenset({"queries", "ftl"}),
        "SELECT id, timestamp, type, status, domain, client FROM queries WHERE id > ? ORDER BY id",
    ),
    Kind(
        "chrome-history",
        frozenset({"visits", "urls"}),
        "SELECT visits.id, visit_time, urls.url, transition FROM visits JOIN urls ON urls.id = visits.url"
        " WHERE visits.id > ? ORDER BY visits.id",
    ),
    Kind(
        "firefox-history",
        frozenset({"moz_historyvisits", "moz_places"}),
        "SELECT v.id, visit_date, p.url, visit_type FROM moz_historyvisits v JOIN moz_places p ON p.id = v.place_id"
        " WHERE v.id > ? ORDER BY v.id",
    ),
)


class Unreadable(Exception):
    """The database cannot be read, or is of no known kind."""


def rows(where: str, source: Input, damage: str | None) -> Iterator[Batch]:
    """Yield all rows of the database at *where*."""
    losses: tuple[Loss, ...] = (Loss(0, None, f"damaged: {damage}"),) if damage else ()
    try:
        for kind, records, places in read(where, after=0):
            source = Input(source.path, kind.format, source.modified, None, kind.format, source.zone)
            yield batch_of(source, records, places, records, losses=losses)
            losses = ()
    except Unreadable as error:
        losses += (Loss(0, None, str(error)),)
    yield batch_of(source, [], [], None, ends=True, losses=losses)


def read(where: str, after: int, *, live: bool = False) -> Iterator[tuple[Kind, list[bytes], list[int]]]:
    """Yield rows with numbers above *after*, as JSON, and their numbers, many at a time; once at least, perhaps with none.

    *live*: take part in the locking of a database that its program shares, in place of a copy; that touches its `-shm` file.

    Raises:
        Unreadable: It is damaged, of no known kind, or changes all the time.
    """
    for _ in range(TRIES):
        before = _state(where)
        try:
            with _opened(where, live=live) as (database, copied):
                if copied and _state(where) != before:
                    continue  # half of the copy may be old and half new
                kind = _kind(database)
                cursor = database.execute(kind.query, (after,))
                names = [column[0] for column in cursor.description]
                while found := cursor.fetchmany(ROWS):
                    if not (copied or live) and _state(where) != before:
                        break
                    after = found[-1][0]
                    yield kind, [_json(names, row) for row in found], [row[0] for row in found]
                else:
                    yield kind, [], []
                    return
        except sqlite3.Error as error:
            locked = "locked" in str(error) or "unable to open" in str(error)
            if live and locked:
                live = False  # its program keeps it for itself
            elif _state(where) == before:
                raise Unreadable(f"the database cannot be read: {error}") from error
        except OSError as error:
            raise Unreadable(f"the database cannot be read: {error.strerror}") from error
    raise Unreadable("the database changes all the time; copy it, and read the copy")


def _json(names: list[str], row: tuple[object, ...]) -> bytes:
    said = {name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value for name, value in zip(names, row)}  # noqa: B905
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")


def _kind(database: sqlite3.Connection) -> Kind:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
    for kind in KINDS:
        if kind.tables <= tables:
            return kind
    raise Unreadable("a SQLite database of no known kind: neither Pi-hole's nor a browser's history")


@contextlib.contextmanager
def _opened(where: str, *, live: bool) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """Open a database for reading, and tell whether it is a copy."""
    journals = [Path(where + ending) for ending in ("-wal", "-journal") if _has_content(where + ending)]
    copied = bool(journals) and not live
    with contextlib.ExitStack() as stack:
        how = "mode=ro" if live else "mode=ro&immutable=1"  # which asks for no lock, and writes no `-shm`
        if copied:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sentinel-"))  # only we may enter it
            copy = Path(folder, "database")
            shutil.copyfile(where, copy)
            for journal in journals:
                with contextlib.suppress(FileNotFoundError):  # it was taken in meanwhile, and the database has changed
                    shutil.copyfile(journal, str(copy) + journal.name.removeprefix(Path(where).name))
            where, how = str(copy), "mode=rw"  # what the journal says is done in the copy
        url = f"file:{quote(str(Path(where).absolute()))}?{how}"
        database = stack.enter_context(contextlib.closing(sqlite3.connect(url, uri=True, timeout=1)))
        database.text_factory = _text
        yield database, copied


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _has_content(path: str) -> bool:
    try:
        return Path(path).stat().st_size > 0
    except OSError:
        return False


def _state(where: str) -> tuple[tuple[int, int, int], ...]:
    """Return what changes when the database or a journal of it is written to."""
    found = []
    for ending in ("", "-wal", "-journal"):
        try:
            seen = Path(where + ending).stat()
        except OSError:
            continue
        found.append((seen.st_ino, seen.st_size, seen.st_mtime_ns))
    return tuple(found)
