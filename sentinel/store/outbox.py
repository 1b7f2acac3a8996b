"""What has still to be delivered, to which sink, and when: the queries. `sinks/delivery.py` decides about retries.

Alerts of one session are a lane: only its first pending alert is ever due, so that no "escalated" arrives before its "opened",
whichever of the two a receiver refuses for now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, func, insert, select, update

from sentinel.activity.records import Alert
from sentinel.sinks.outcome import Delivered, Health, Outcome, Outgoing, Receipt, Rejected, Retry
from sentinel.store.codec import loads, stamp, unstamp
from sentinel.store.schema import alerts, health, outbox, threads

AT_ONCE = stamp(datetime.fromtimestamp(0, UTC))
"""When a new entry is due. Not when it was made: a clock that is set back would hold it up."""

Result = tuple[str, Outcome, datetime | None]
"""An alert's id, what became of it, and for a `Retry` when to try again."""


def entry(alert: Alert, queued: int, sink: str) -> dict[str, Any]:
    """Return the row of a new entry."""
    lane = alert.session.id if alert.session else alert.id
    return {
        "alert": alert.id, "sink": sink, "queued": queued, "lane": lane, "state": "pending", "attempts": 0, "next_at": AT_ONCE,
    }  # fmt: skip


def due(connection: Connection, sink: str, now: datetime, limit: int) -> list[Outgoing]:
    """Return what may be sent *now*, in the order in which it was raised."""
    return [one for _sink, one in _outgoing(connection, (*_first_of_lane(sink), outbox.c.next_at <= stamp(now)), limit)]


def dead(connection: Connection, sink: str | None, limit: int | None = None) -> list[tuple[str, Outgoing]]:
    """Return what was given up, of one sink or of all, each with its sink."""
    where = (outbox.c.state == "dead",) if sink is None else (outbox.c.sink == sink, outbox.c.state == "dead")
    return _outgoing(connection, where, limit)


def next_due(connection: Connection, sink: str) -> datetime | None:
    """Return when the next entry may be sent; None when there is none."""
    found = connection.scalar(select(func.min(outbox.c.next_at)).where(*_first_of_lane(sink)))
    return unstamp(found) if found else None


def pending(connection: Connection, sink: str | None) -> int:
    """Return how many entries wait, for one sink or for all."""
    query = select(func.count()).select_from(outbox).where(outbox.c.state == "pending")
    return connection.scalar(query if sink is None else query.where(outbox.c.sink == sink)) or 0


def tally(connection: Connection) -> dict[str, tuple[int, int, int]]:
    """Return how many alerts wait for each sink, are dead letters of it, and were delivered to it."""
    query = select(outbox.c.sink, outbox.c.state, func.count().label("number")).group_by(outbox.c.sink, outbox.c.state)
    found = {(row.sink, row.state): row.number for row in connection.execute(query)}
    return {
        sink: (found.get((sink, "pending"), 0), found.get((sink, "dead"), 0), found.get((sink, "delivered"), 0))
        for sink, _state in found
    }


def settle(connection: Connection, sink: str, results: Sequence[Result], now: datetime) -> None:
    """Write down what became of entries. Those that are not pending stay as they are."""
    rows = [{"b_alert": alert, "b_sink": sink, **_settled(outcome, next_at, now)} for alert, outcome, next_at in results]
    statement = (
        update(outbox)
        .where(outbox.c.alert == bindparam("b_alert"), outbox.c.sink == bindparam("b_sink"), outbox.c.state == "pending")
        .values(
            state=bindparam("b_state"),
            attempts=outbox.c.attempts + bindparam("b_tried"),
            next_at=bindparam("b_next"),
            answer=bindparam("b_answer"),
            delivered_at=bindparam("b_delivered"),
        )
    )
    if rows:
        connection.execute(statement, rows)
    for alert, outcome, _at in results:
        if isinstance(outcome, Delivered) and outcome.reference:
            _keep_reference(connection, sink, alert, outcome.reference)


def _keep_reference(connection: Connection, sink: str, alert: str, reference: str) -> None:
    lane = connection.scalar(select(outbox.c.lane).where(outbox.c.alert == alert, outbox.c.sink == sink))
    here = (threads.c.lane == lane, threads.c.sink == sink)
    if connection.execute(update(threads).where(*here).values(reference=reference)).rowcount == 0:
        connection.execute(insert(threads), {"lane": lane, "sink": sink, "reference": reference})


def resend(connection: Connection, ids: Iterable[str], sink: str | None = None) -> int:
    """Queue the dead letters among *ids* again, with their attempts forgotten; return how many entries that were."""
    statement = (
        update(outbox)
        .where(outbox.c.alert == bindparam("b_alert"), outbox.c.state == "dead")
        .values(state="pending", attempts=0, next_at=AT_ONCE)
    )
    statement = statement if sink is None else statement.where(outbox.c.sink == sink)
    return sum(connection.execute(statement, {"b_alert": alert}).rowcount for alert in ids)


def receipts(connection: Connection, alert: str) -> list[Receipt]:
    """Return what became of an alert at each sink that it goes to."""
    query = select(outbox).where(outbox.c.alert == alert).order_by(outbox.c.sink)
    return [
        Receipt(
            row.alert,
            row.sink,
            row.state,
            row.attempts,
            row.answer,
            unstamp(row.delivered_at) if row.delivered_at else None,
            unstamp(row.next_at) if row.state == "pending" and row.next_at != AT_ONCE else None,
        )
        for row in connection.execute(query)
    ]


def bound(connection: Connection, sink: str, limit: int, reason: str) -> tuple[int, int]:
    """Let no more than *limit* alerts wait for a sink, and no more be dead letters of it.

    The oldest that wait become dead letters, with *reason* as their answer; the oldest dead letters go, and are counted. Return
    how many did either.
    """
    given_up = _oldest(connection, sink, "pending", limit)
    if given_up is not None:
        here = (outbox.c.sink == sink, outbox.c.state == "pending", outbox.c.queued <= given_up)
        shed = connection.execute(update(outbox).where(*here).values(state="dead", answer=reason)).rowcount
    else:
        shed = 0
    last = _oldest(connection, sink, "dead", limit)
    if last is None:
        return shed, 0
    gone = connection.execute(
        delete(outbox).where(outbox.c.sink == sink, outbox.c.state == "dead", outbox.c.queued <= last)
    ).rowcount
    _write_health(connection, sink, {"forgotten": health.c.forgotten + gone})
    return shed, gone


def _oldest(connection: Connection, sink: str, state: str, keep: int) -> int | None:
    """Return the number of the youngest entry beyond the newest *keep*; None when there are not so many."""
    query = select(outbox.c.queued).where(outbox.c.sink == sink, outbox.c.state == state)
    return connection.scalar(query.order_by(outbox.c.queued.desc()).offset(keep).limit(1))


def first_waiting(connection: Connection, sink: str) -> Alert | None:
    """Return the oldest alert that waits for a sink."""
    waiting = _outgoing(connection, (outbox.c.sink == sink, outbox.c.state == "pending"), 1)
    return waiting[0][1].alert if waiting else None


def keep_health(connection: Connection, found: Health) -> None:
    """Write down how a sink fares; what it has forgotten is counted elsewhere."""
    times = {"since": found.since, "retry_at": found.retry_at, "delivered_at": found.delivered_at}
    values: dict[str, Any] = {name: stamp(time) if time else None for name, time in times.items()}
    if found.delivered_at is None:
        del values["delivered_at"]  # it did deliver once, as far as an earlier run knows
    _write_health(connection, found.sink, {**values, "failures": found.failures, "reason": found.reason})


def _write_health(connection: Connection, sink: str, values: dict[str, Any]) -> None:
    if connection.execute(update(health).where(health.c.sink == sink).values(values)).rowcount == 0:
        connection.execute(insert(health), {"sink": sink, "failures": 0, "forgotten": 0})
        connection.execute(update(health).where(health.c.sink == sink).values(values))


def health_of_all(connection: Connection) -> list[Health]:
    """Return how every sink fares that was ever used."""
    times = ("since", "retry_at", "delivered_at")
    return [
        Health(**{**row, **{name: unstamp(row[name]) if row[name] else None for name in times}})
        for row in connection.execute(select(health).order_by(health.c.sink)).mappings()
    ]


def _first_of_lane(sink: str) -> tuple[ColumnElement[bool], ...]:
    before = outbox.alias("before")
    earlier = exists().where(
        before.c.lane == outbox.c.lane,
        before.c.sink == outbox.c.sink,
        before.c.state == "pending",
        before.c.queued < outbox.c.queued,
    )
    return outbox.c.sink == sink, outbox.c.state == "pending", ~earlier


def _outgoing(connection: Connection, where: tuple[ColumnElement[bool], ...], limit: int | None) -> list[tuple[str, Outgoing]]:
    query = (
        select(alerts.c.body, alerts.c.created, outbox.c.sink, outbox.c.attempts, outbox.c.answer, threads.c.reference)
        .join_from(outbox, alerts, outbox.c.alert == alerts.c.id)
        .outerjoin(threads, (threads.c.lane == outbox.c.lane) & (threads.c.sink == outbox.c.sink))
        .where(*where)
        .order_by(outbox.c.queued)
        .limit(limit)
    )
    return [
        (row.sink, Outgoing(loads(Alert, row.body), row.attempts, unstamp(row.created), row.answer, row.reference))
        for row in connection.execute(query)
    ]


def _settled(outcome: Outcome, next_at: datetime | None, now: datetime) -> dict[str, Any]:
    return {"b_tried": int(not isinstance(outcome, Retry) or outcome.tried), **_state(outcome, next_at, now)}


def _state(outcome: Outcome, next_at: datetime | None, now: datetime) -> dict[str, Any]:
    later = stamp(next_at) if next_at else AT_ONCE
    match outcome:
        case Delivered(answer):
            return {"b_state": "delivered", "b_next": AT_ONCE, "b_answer": answer, "b_delivered": stamp(now)}
        case Retry(reason):
            return {"b_state": "pending", "b_next": later, "b_answer": reason, "b_delivered": None}
        case Rejected(reason):
            return {"b_state": "dead", "b_next": AT_ONCE, "b_answer": reason, "b_delivered": None}
