"""What has still to be delivered, to which sink, and when: the queries. `sinks/delivery.py` decides about retries.

Alerts of one session are a lane: only its first pending alert is ever due, so that no "escalated" arrives before its "opened",
whichever of the two a receiver refuses for now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, exists, func, select, update

from sentinel.activity.records import Alert
from sentinel.sinks.outcome import Delivered, Outcome, Rejected, Retry
from sentinel.store.codec import loads, stamp, unstamp
from sentinel.store.schema import alerts, outbox

AT_ONCE = stamp(datetime.fromtimestamp(0, UTC))
"""When a new entry is due. Not when it was made: a clock that is set back would hold it up."""

Result = tuple[str, Outcome, datetime | None]
"""An alert's id, what became of it, and for a `Retry` when to try again."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An alert on its way to one sink, with what the receiver said last."""

    alert: Alert
    attempts: int
    first_queued: datetime
    answer: str | None = None


def entry(alert: Alert, queued: int, sink: str) -> dict[str, Any]:
    """Return the row of a new entry."""
    lane = alert.session.id if alert.session else alert.id
    return {
        "alert": alert.id, "sink": sink, "queued": queued, "lane": lane, "state": "pending", "attempts": 0, "next_at": AT_ONCE,
    }  # fmt: skip


def due(connection: Connection, sink: str, now: datetime, limit: int) -> list[Outgoing]:
    """Return what may be sent *now*, in the order in which it was raised."""
    return _outgoing(connection, (*_first_of_lane(sink), outbox.c.next_at <= stamp(now)), limit)


def dead(connection: Connection, sink: str) -> list[Outgoing]:
    """Return what was given up."""
    return _outgoing(connection, (outbox.c.sink == sink, outbox.c.state == "dead"), None)


def next_due(connection: Connection, sink: str) -> datetime | None:
    """Return when the next entry may be sent; None when there is none."""
    found = connection.scalar(select(func.min(outbox.c.next_at)).where(*_first_of_lane(sink)))
    return unstamp(found) if found else None


def pending(connection: Connection, sink: str | None) -> int:
    """Return how many entries wait, for one sink or for all."""
    query = select(func.count()).select_from(outbox).where(outbox.c.state == "pending")
    return connection.scalar(query if sink is None else query.where(outbox.c.sink == sink)) or 0


def settle(connection: Connection, sink: str, results: Sequence[Result], now: datetime) -> None:
    """Write down what became of entries. Those that are not pending stay as they are."""
    rows = [{"b_alert": alert, "b_sink": sink, **_settled(outcome, next_at, now)} for alert, outcome, next_at in results]
    statement = (
        update(outbox)
        .where(outbox.c.alert == bindparam("b_alert"), outbox.c.sink == bindparam("b_sink"), outbox.c.state == "pending")
        .values(
            state=bindparam("b_state"),
            attempts=outbox.c.attempts + 1,
            next_at=bindparam("b_next"),
            answer=bindparam("b_answer"),
            delivered_at=bindparam("b_delivered"),
        )
    )
    if rows:
        connection.execute(statement, rows)


def resend(connection: Connection, ids: Iterable[str]) -> int:
    """Queue the dead letters among *ids* again, with their attempts forgotten; return how many entries that were."""
    statement = (
        update(outbox)
        .where(outbox.c.alert == bindparam("b_alert"), outbox.c.state == "dead")
        .values(state="pending", attempts=0, next_at=AT_ONCE)
    )
    return sum(connection.execute(statement, {"b_alert": alert}).rowcount for alert in ids)


def _first_of_lane(sink: str) -> tuple[ColumnElement[bool], ...]:
    before = outbox.alias("before")
    earlier = exists().where(
        before.c.lane == outbox.c.lane,
        before.c.sink == outbox.c.sink,
        before.c.state == "pending",
        before.c.queued < outbox.c.queued,
    )
    return outbox.c.sink == sink, outbox.c.state == "pending", ~earlier


def _outgoing(connection: Connection, where: tuple[ColumnElement[bool], ...], limit: int | None) -> list[Outgoing]:
    query = (
        select(alerts.c.body, alerts.c.created, outbox.c.attempts, outbox.c.answer)
        .join_from(outbox, alerts, outbox.c.alert == alerts.c.id)
        .where(*where)
        .order_by(outbox.c.queued)
        .limit(limit)
    )
    return [
        Outgoing(loads(Alert, row.body), row.attempts, unstamp(row.created), row.answer) for row in connection.execute(query)
    ]


def _settled(outcome: Outcome, next_at: datetime | None, now: datetime) -> dict[str, Any]:
    later = stamp(next_at) if next_at else AT_ONCE
    match outcome:
        case Delivered(answer):
            return {"b_state": "delivered", "b_next": AT_ONCE, "b_answer": answer, "b_delivered": stamp(now)}
        case Retry(reason):
            return {"b_state": "pending", "b_next": later, "b_answer": reason, "b_delivered": None}
        case Rejected(reason):
            return {"b_state": "dead", "b_next": AT_ONCE, "b_answer": reason, "b_delivered": None}
