"""What is SQLite's own: how its connections are set up and its transactions begin."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

BUSY_MS = 10_000
"""How long to wait for another process's transaction. Our own threads take turns and never meet."""


def file_engine(path: str) -> Engine:
    """Return an engine on the file *path*, taken as it is written: a question mark is part of the name."""
    return _prepared(create_engine(URL.create("sqlite", database=path)), _FILE)


def private_engine() -> Engine:
    """Return an engine on a store of its own that moves to an unnamed temporary file as it grows, and is gone when closed.

    It has one connection, which threads must take turns on.
    """
    made = create_engine("sqlite://", creator=lambda: sqlite3.connect("", check_same_thread=False), poolclass=StaticPool)
    return _prepared(made, _PRIVATE)


# FULL: with NORMAL, a store that loses power forgets its last commits, and alerts that were delivered would be unknown to it.
_FILE = ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON")
_PRIVATE = ("synchronous=OFF", "foreign_keys=ON")


def _prepared(engine: Engine, pragmas: tuple[str, ...]) -> Engine:
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3's own way begins too late: DDL and reads would lie outside the transaction
        connection.text_factory = _text
        # Another process may hold the store for the moment in which WAL is switched on.
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", _begin)
    return engine


def _text(data: bytes) -> str:
    # We write ASCII and UTF-8. Whoever tampers may not, and the row has to be read to be named.
    return data.decode("utf-8", "surrogateescape")


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot wait for the lock: it fails at once when another has written.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
