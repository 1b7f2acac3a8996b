"""What is kept: evidence, sessions, alerts and their delivery, positions and coverage, in one database.

Any thread may call a `Store`. Writers of this process take turns on one lock, so that none runs into a busy database; readers
see the last commit and wait for nobody.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, create_engine, select, type_coerce
from sqlalchemy.exc import DatabaseError
from sqlalchemy.types import NullType

from sentinel.activity.records import Alert, Finding, Session
from sentinel.activity.sessions import REMEMBERED
from sentinel.coverage import Coverage
from sentinel.sinks.outcome import Health, Outgoing, Receipt
from sentinel.sources.batch import Position
from sentinel.store import account, outbox, schema, writing
from sentinel.store.account import Hour, Totals
from sentinel.store.chain import Broken, Head, first_broken
from sentinel.store.codec import loads, stamp, unstamp
from sentinel.store.migrate import migrate, revision_of
from sentinel.store.outbox import Result
from sentinel.store.sqlite import file_engine, private_engine
from sentinel.store.step import Step as Step
from sentinel.store.step import UnusableStoreError as UnusableStoreError
from sentinel.store.step import url_of as url_of

_WRITER = threading.RLock()
"""Held while anything is written: one lock for all stores of the process, as two may be open on the same file."""

LOCKED_TRIES = 100
"""Tenths of a second to wait for another process that changes the journal's mode: SQLite's own time-out does not cover that."""

_SQLITE = "sqlite:///"


class Store:
    """One open store."""

    def __init__(self, engine: Engine, readers: threading.RLock | None = None) -> None:
        """Use *engine*, its tables in place. *readers*: a lock that readers take, for an engine with only one connection."""
        self._engine = engine
        self._writing = engine.execution_options(writing=True)
        self._readers = readers
        self._totals = Totals()

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the store at *url*, made when there is none, and bring its tables up to date.

        A new SQLite file can be read by its owner and group alone: it holds what people did.

        Raises:
            NewerStoreError: A newer version of Sentinel wrote it.
            UnusableStoreError: It cannot be opened or is something else.
        """
        for _ in range(LOCKED_TRIES):
            try:
                return cls._opened(url)
            except UnusableStoreError as error:  # another process makes the same store at this moment
                if "database is locked" not in str(error):
                    raise
                time.sleep(0.1)
        return cls._opened(url)

    @classmethod
    def _opened(cls, url: str) -> Store:
        try:
            engine = _file(Path(url.removeprefix(_SQLITE))) if url.startswith(_SQLITE) else create_engine(url)
            with engine.connect() as connection:
                current = revision_of(connection) == schema.REVISION
            if not current:
                with _WRITER, engine.execution_options(writing=True).begin() as connection:
                    migrate(connection)
        except (DatabaseError, OSError) as error:
            raise UnusableStoreError(f"{url}: {getattr(error, 'orig', error)}") from error
        return cls(engine)

    @classmethod
    def memory(cls) -> Store:
        """Return a store of its own that is gone when closed."""
        engine = private_engine()
        with engine.begin() as connection:
            schema.metadata.create_all(connection)  # the same tables as the migrations make; a test compares
        return cls(engine, readers=_WRITER)

    def close(self) -> None:
        """Let go of the connections. What was committed is on disk already."""
        self._engine.dispose()

    @contextmanager
    def _reader(self) -> Iterator[Connection]:
        if self._readers:
            with self._readers, self._engine.connect() as connection:
                yield connection
        else:
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def _writer(self) -> Iterator[Connection]:
        with _WRITER, self._writing.begin() as connection:
            yield connection

    def commit(self, step: Step) -> None:
        """Write *step* in one transaction: all, or on any error nothing. Findings and alerts that are kept already stay."""
        now = datetime.now(UTC)
        with _WRITER:
            with self._writer() as connection:
                if step.ruleset:
                    writing.write_ruleset(connection, *step.ruleset, now)
                if step.sessions:
                    writing.write_sessions(connection, step.sessions)
                if step.findings:
                    writing.write_findings(connection, step.findings)
                if step.alerts:
                    writing.write_alerts(connection, step.alerts, step.sinks)
                if step.merged:
                    writing.merge_sessions(connection, step.merged)
                writing.write_positions(connection, step.positions, step.forget)
                for total in step.coverage:
                    account.add(connection, self._totals.fresh(total), now)
            self._totals.committed(step.coverage)

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return which of the findings *ids* are kept."""
        with self._reader() as connection:
            return writing.among(connection, schema.findings.c.id, ids)

    def positions(self) -> dict[str, Position]:
        """Return how far each source has come, by its key."""
        with self._reader() as connection:
            return {row.key: json.loads(row.body) for row in connection.execute(select(schema.positions))}

    def open_sessions(self) -> list[Session]:
        """Return the sessions that are not closed, oldest first."""
        return self._sessions(select(schema.sessions.c.body).where(schema.sessions.c.open))

    def recent_sessions(self, since: datetime | None = None) -> list[Session]:
        """Return the open sessions and those that ended at or after *since*, oldest first.

        Left out, *since* is the time after which a late finding can still join a closed session, counted from the newest
        session's end, or from now when that lies ahead: one device's wrong clock must not hide the others.
        """
        table = schema.sessions
        if since is None:
            with self._reader() as connection:
                newest = connection.scalar(select(table.c.ended).order_by(table.c.ended.desc()).limit(1))
            since = min(unstamp(newest), datetime.now(UTC)) - REMEMBERED if newest else datetime.now(UTC)
        return self._sessions(select(table.c.body).where(table.c.open | (table.c.ended >= stamp(since))))

    def sessions(self, service: str | None = None) -> list[Session]:
        """Return the sessions, of one service or of all, oldest first."""
        query = select(schema.sessions.c.body)
        return self._sessions(query if service is None else query.where(schema.sessions.c.service == service))

    def session(self, session_id: str) -> Session | None:
        """Return one session; None when there is none of that id."""
        found = self._sessions(select(schema.sessions.c.body).where(schema.sessions.c.id == session_id))
        return found[0] if found else None

    def _sessions(self, query: Select[Any]) -> list[Session]:
        with self._reader() as connection:
            rows = connection.scalars(query.order_by(schema.sessions.c.started, schema.sessions.c.id))
            return [loads(Session, body) for body in rows]

    def findings(self, session: str | None = None, ids: Sequence[str] | None = None) -> list[Finding]:
        """Return findings in the order in which they were kept: all, one session's, or those of *ids*."""
        table, members = schema.findings, schema.memberships
        query = select(table.c.seq, table.c.body, table.c.raw)
        if session is not None:
            query = query.join(members, members.c.finding == table.c.id).where(members.c.session == session)
        if ids is None:
            queries = [query]
        else:
            parts = [ids[start : start + writing.AT_MOST] for start in range(0, len(ids), writing.AT_MOST)]
            queries = [query.where(table.c.id.in_(part)) for part in parts]
        with self._reader() as connection:
            rows = sorted((row for one in queries for row in connection.execute(one)), key=lambda row: row.seq)
        return [loads(Finding, row.body, raw=row.raw) for row in rows]

    def each_finding(self) -> Iterator[Finding]:
        """Yield all findings in the order in which they were kept, without their raw records: there may be very many."""
        query = select(schema.findings.c.body).order_by(schema.findings.c.seq).execution_options(yield_per=1000)
        with self._reader() as connection:
            for body in connection.scalars(query):
                yield loads(Finding, body, raw=b"")

    def belongs(self) -> dict[str, str]:
        """Return each finding's session, ids both."""
        with self._reader() as connection:
            return {row.finding: row.session for row in connection.execute(select(schema.memberships))}

    def alerts(self, session: str | None = None) -> list[Alert]:
        """Return the alerts, one session's or all, in the order in which they were raised."""
        query = select(schema.alerts.c.body).order_by(schema.alerts.c.seq)
        with self._reader() as connection:
            rows = connection.scalars(query if session is None else query.where(schema.alerts.c.session == session))
            return [loads(Alert, body) for body in rows]

    def alert(self, alert_id: str) -> Alert | None:
        """Return one alert; None when there is none of that id."""
        with self._reader() as connection:
            body = connection.scalar(select(schema.alerts.c.body).where(schema.alerts.c.id == alert_id))
        return loads(Alert, body) if body else None

    def inputs(self) -> list[Coverage]:
        """Return what was read of each input, and what could not be, over all runs."""
        with self._reader() as connection:
            return account.accounts(connection)

    def coverage(self, path: str | None = None) -> list[Hour]:
        """Return what was read of one input, or of all, hour by hour."""
        with self._reader() as connection:
            return account.hours(connection, path)

    def rulesets(self) -> dict[str, str]:
        """Return the rule sets that findings were made with: digest -> canonical text, the one used first in front."""
        query = select(schema.rulesets).order_by(schema.rulesets.c.first_used)
        with self._reader() as connection:
            return {row.digest: writing.ruleset_text(row.body) for row in connection.execute(query)}

    def due(self, sink: str, now: datetime, limit: int) -> list[Outgoing]:
        """Return what may be sent to *sink* now, in the order of raising: of each session only the first that waits."""
        with self._reader() as connection:
            return outbox.due(connection, sink, now, limit)

    def next_due(self, sink: str) -> datetime | None:
        """Return when something may be sent to *sink* next, which may lie in the past; None when nothing waits."""
        with self._reader() as connection:
            return outbox.next_due(connection, sink)

    def settle(self, sink: str, results: Sequence[Result], now: datetime, health: Health | None = None) -> None:
        """Write down what became of alerts that *sink* was given, delivered, to be tried again or dead, and how it fares."""
        with self._writer() as connection:
            outbox.settle(connection, sink, results, now)
            if health:
                outbox.keep_health(connection, health)

    def receipts(self, alert_id: str) -> list[Receipt]:
        """Return what became of an alert at each sink, with the receivers' answers."""
        with self._reader() as connection:
            return outbox.receipts(connection, alert_id)

    def health(self) -> list[Health]:
        """Return how each sink fares, as its thread wrote it down last."""
        with self._reader() as connection:
            return outbox.health_of_all(connection)

    def tally(self) -> dict[str, tuple[int, int, int]]:
        """Return for each sink how many alerts wait, are dead letters, and were delivered."""
        with self._reader() as connection:
            return outbox.tally(connection)

    def first_waiting(self, sink: str) -> Alert | None:
        """Return the oldest alert that waits for *sink*."""
        with self._reader() as connection:
            return outbox.first_waiting(connection, sink)

    def bound(self, sink: str, limit: int, reason: str) -> tuple[int, int]:
        """Keep what waits for *sink* below *limit*, and its dead letters too; return how many were given up and forgotten."""
        with self._writer() as connection:
            return outbox.bound(connection, sink, limit, reason)

    def backlog(self, sink: str) -> int:
        """Return how many alerts wait for *sink*."""
        with self._reader() as connection:
            return outbox.pending(connection, sink)

    def waiting(self) -> int:
        """Return how many deliveries wait, of all sinks."""
        with self._reader() as connection:
            return outbox.pending(connection, None)

    def dead(self, sink: str) -> list[Outgoing]:
        """Return what *sink* would not take, each with the receiver's answer."""
        return [one for _sink, one in self.dead_letters(sink)]

    def dead_letters(self, sink: str | None = None) -> list[tuple[str, Outgoing]]:
        """Return what was given up, of one sink or of all, each with its sink and the receiver's answer."""
        with self._reader() as connection:
            return outbox.dead(connection, sink)

    def resend(self, ids: Sequence[str], sink: str | None = None) -> int:
        """Queue the dead letters of the alerts *ids* again, for one sink or for all; return how many that were."""
        with self._writer() as connection:
            return outbox.resend(connection, ids, sink)

    def head(self) -> Head:
        """Return the end of the chain of findings."""
        with self._reader() as connection:
            return writing.head_of(connection)

    def verify_chain(self) -> Broken | None:
        """Return the first finding that was changed, removed or put in; None when every one is as it was committed."""
        # As the database holds them: a type that was changed with the value must not end the search.
        columns = [type_coerce(column, NullType()).label(column.name) for column in schema.findings.c]
        query = select(*columns).order_by(schema.findings.c.seq).execution_options(yield_per=1000)
        with self._reader() as connection:
            rows = (dict(row) for row in connection.execute(query).mappings())
            return first_broken(rows, writing.head_of(connection))


def _file(path: Path) -> Engine:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o640, exist_ok=True)
    return file_engine(str(path))
