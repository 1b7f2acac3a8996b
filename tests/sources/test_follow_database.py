"""Followed databases: rows are told once, as they are added, through restarts and through a database that begins anew."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

from sentinel.sources.follow_database import FollowDatabase
from tests.integration.lab import wait_until

FTL = """
CREATE TABLE domain_by_id(id INTEGER PRIMARY KEY, domain TEXT NOT NULL);
CREATE TABLE client_by_id(id INTEGER PRIMARY KEY, ip TEXT NOT NULL, name TEXT);
CREATE TABLE query_storage(id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, timestamp INTEGER NOT NULL, type INTEGER NOT NULL,
    status INTEGER NOT NULL, domain INTEGER NOT NULL, client INTEGER NOT NULL);
CREATE VIEW queries AS SELECT q.id, timestamp, type, status, d.domain AS domain, c.ip AS client
    FROM query_storage q JOIN domain_by_id d ON d.id = q.domain JOIN client_by_id c ON c.id = q.client;
CREATE TABLE ftl(id INTEGER PRIMARY KEY NOT NULL, value BLOB NOT NULL);
INSERT INTO domain_by_id VALUES(1, 'pimeyes.com');
INSERT INTO client_by_id VALUES(1, '10.20.30.11', 'pc');
"""
"""The tables of Pi-hole's database that matter here, as its documentation has them."""


def ftl(path):
    """Make a database as FTL keeps it, open as FTL holds it."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.executescript(FTL)
    return database


def asks(database, count):
    """Add look-ups."""
    for _ in range(count):
        database.execute("INSERT INTO query_storage(timestamp, type, status, domain, client) VALUES(1795411169, 1, 2, 1, 1)")


@contextlib.contextmanager
def followed(path, positions=None):
    """Follow a database until the block ends; give out the batches so far."""
    stop, batches = threading.Event(), []
    source = FollowDatabase(str(path), poll_secs=0.05)

    def run():
        for batch in source.batches(stop, positions or {}):
            batches.append(batch)  # noqa: PERF402 - as it comes, for the test to see

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield batches
    finally:
        stop.set()
        thread.join(30)


def places(batches):
    """Return the rows that were given out."""
    return [place for batch in batches for place in batch.cuts.places]


def test_rows_are_told_once_as_they_come_and_after_a_restart_only_new_ones(tmp_path):
    """Pi-hole adds to its database while it is read; both go on."""
    path = tmp_path / "pihole-FTL.db"
    with followed(path) as batches:
        wait_until(lambda: any(batch.caught_up for batch in batches), "it waits for the file")
        database = ftl(path)
        asks(database, 3)
        wait_until(lambda: places(batches) == [1, 2, 3], "the first rows")
        asks(database, 2)
        wait_until(lambda: places(batches) == [1, 2, 3, 4, 5], "the next rows")
    last = [batch for batch in batches if batch.cuts.places][-1]
    assert last.input.format == "pihole-ftl"
    asks(database, 1)
    with followed(path, {last.input.key: last.position}) as again:
        wait_until(lambda: places(again), "the row that was added meanwhile")
    assert places(again) == [6]
    database.close()


def test_a_database_that_begins_anew_is_read_from_its_beginning(tmp_path):
    """Somebody empties it, and its rows count from one again: none may be passed over."""
    path = tmp_path / "pihole-FTL.db"
    database = ftl(path)
    asks(database, 5)
    with followed(path) as batches:
        wait_until(lambda: places(batches) == [1, 2, 3, 4, 5], "the rows")
        database.execute("DELETE FROM query_storage")
        database.execute("DELETE FROM sqlite_sequence")
        asks(database, 1)
        wait_until(lambda: places(batches) == [1, 2, 3, 4, 5, 1], "the new rows")
    database.close()
