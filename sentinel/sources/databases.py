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
    """What a program keeps, and how its rows are read: from the number on that is given, in the order of their numbers.

    A row's first column is its number, the second its time.
    """

    format: str
    tables: frozenset[str]  # by which it is told
    query: str


KINDS = (
    Kind(
        "pihole-ftl",
        frozenset({"queries", "ftl"}),
        "SELECT id, timestamp, type, status, domain, client FROM queries WHERE id >= ? ORDER BY id",
    ),
    Kind(
        "chrome-history",
        frozenset({"visits", "urls"}),
        "SELECT visits.id, visit_time, urls.url, transition FROM visits JOIN urls ON urls.id = visits.url"
        " WHERE visits.id >= ? ORDER BY visits.id",
    ),
    Kind(
        "firefox-history",
        frozenset({"moz_historyvisits", "moz_places"}),
        "SELECT v.id, visit_date, p.url, visit_type FROM moz_historyvisits v JOIN moz_places p ON p.id = v.place_id"
        " WHERE v.id >= ? ORDER BY v.id",
    ),
)


Mark = tuple[int, int | float]
"""Number and time of the row that was read last. Where that row is another now, or gone, the database was begun anew."""


class Unreadable(Exception):
    """The database cannot be read, or is of no known kind."""


def rows(where: str, source: Input, damage: str | None) -> Iterator[Batch]:
    """Yield all rows of the database at *where*."""
    losses: tuple[Loss, ...] = (Loss(0, None, f"damaged: {damage}"),) if damage else ()
    try:
        for part in read(where):
            source = Input(source.path, part.kind.format, source.modified, None, part.kind.format, source.zone)
            yield batch_of(source, part.records, part.places, part.records, losses=losses)
            losses = ()
    except Unreadable as error:
        losses += (Loss(0, None, str(error)),)
    yield batch_of(source, [], [], None, ends=True, losses=losses)


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows as JSON, their numbers, and the mark to go on from."""

    kind: Kind
    records: list[bytes]
    places: list[int]
    mark: Mark | None


def read(where: str, after: Mark | None = None, *, live: bool = False) -> Iterator[Part]:
    """Yield the rows behind the mark *after*, many at a time; once at least, perhaps with none.

    *live*: take part in the locking of a database that its program shares, in place of a copy; that touches its `-shm` file.

    Raises:
        Unreadable: It is damaged, of no known kind, or changes all the time.
    """
    for _ in range(TRIES):
        before = state(where)
        try:
            with _opened(where, live=live) as (database, copied):
                if copied and state(where) != before:
                    continue  # half of the copy may be old and half new
                for part in _parts(database, after):
                    if not (copied or live) and state(where) != before:
                        break
                    after = part.mark
                    yield part
                else:
                    return
        except sqlite3.Error as error:
            if live and ("locked" in str(error) or "unable to open" in str(error)):
                live = False  # its program keeps it for itself
            elif state(where) == before:
                raise Unreadable(f"the database cannot be read: {error}") from error
        except OSError as error:
            raise Unreadable(f"the database cannot be read: {error.strerror}") from error
    raise Unreadable("the database changes all the time; copy it, and read the copy")


def _parts(database: sqlite3.Connection, after: Mark | None) -> Iterator[Part]:
    kind = _kind(database)
    cursor = database.execute(kind.query, (after[0] if after else 0,))
    if after and tuple((cursor.fetchone() or ())[:2]) != tuple(after):
        cursor, after = database.execute(kind.query, (0,)), None
    names = [column[0] for column in cursor.description]
    while found := cursor.fetchmany(ROWS):
        after = found[-1][:2]
        yield Part(kind, [_json(names, row) for row in found], [row[0] for row in found], after)
    yield Part(kind, [], [], after)


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


def state(where: str) -> tuple[tuple[int, int, int], ...]:
    """Return what changes when the database or a journal of it is written to."""
    found = []
    for ending in ("", "-wal", "-journal"):
        try:
            seen = Path(where + ending).stat()
        except OSError:
            continue
        found.append((seen.st_ino, seen.st_size, seen.st_mtime_ns))
    return tuple(found)
