"""Adds what a batch read to the accounts that are kept: one for each input, and one for each input and hour.

The engine hands over a running total for each stream, which starts from nothing again whenever the process or its configuration
does. So only what came since the last commit is added. Nothing of it counts until `Totals.committed`.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from sentinel.coverage import EXAMPLES, Coverage
from sentinel.store import schema
from sentinel.store.codec import dumps, loads, stamp, unstamp

REMEMBERED = 4096
"""Streams whose last total is remembered; those that were read longest ago go first, and have long ended."""


# Built once: these run for every batch, and building a statement costs more than running it.
_THIS_INPUT = schema.inputs.c.path == bindparam("b_path")
_INPUT = select(schema.inputs.c.body).where(_THIS_INPUT)
_CHANGED_INPUT = update(schema.inputs).where(_THIS_INPUT)
_THIS_HOUR = (schema.coverage.c.path == bindparam("b_path")) & (schema.coverage.c.hour == bindparam("b_hour"))
_HOUR = select(schema.coverage).where(_THIS_HOUR)
_CHANGED_HOUR = update(schema.coverage).where(_THIS_HOUR)


@dataclass(frozen=True, slots=True)
class Hour:
    """What was read of one input in one hour, UTC: that of the latest record so far, or of the reading when none has a time."""

    path: str
    hour: datetime
    bytes: int
    records: int
    parsed: int
    unparsed: int
    sampled: bool
    unreadable: Counter[str]


class Totals:
    """The totals at the last commit, by stream."""

    def __init__(self) -> None:
        """Remember none."""
        # The live one is kept beside its copy, so that no other object takes its id.
        self._known: OrderedDict[int, tuple[Coverage, Coverage]] = OrderedDict()

    def fresh(self, total: Coverage) -> Coverage:
        """Return what came to *total* since the last commit."""
        _live, before = self._known.get(id(total), (None, None))
        if before is None:
            return _copy(total)
        return replace(
            _copy(total),
            bytes=total.bytes - before.bytes,
            records=total.records - before.records,
            parsed=total.parsed - before.parsed,
            unparsed=total.unparsed - before.unparsed,
            excluded=total.excluded - before.excluded,
            unreadable=total.unreadable - before.unreadable,
        )

    def committed(self, totals: Iterable[Coverage]) -> None:
        """Remember *totals* as they stand."""
        for total in totals:
            self._known[id(total)] = (total, _copy(total))
            self._known.move_to_end(id(total))
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def add(connection: Connection, fresh: Coverage, now: datetime) -> None:
    """Add what is *fresh* to its input's account and to the hour's."""
    _add_to_input(connection, fresh)
    if fresh.bytes or fresh.records or fresh.parsed or fresh.unparsed or fresh.unreadable:
        _add_to_hour(connection, fresh, now)


def accounts(connection: Connection) -> list[Coverage]:
    """Return each input's account, in the order of their paths."""
    query = select(schema.inputs.c.body).order_by(schema.inputs.c.path)
    return [loads(Coverage, body) for body in connection.scalars(query)]


def hours(connection: Connection, path: str | None) -> list[Hour]:
    """Return what was read in each hour, of one input or of all."""
    table = schema.coverage
    query = select(table).order_by(table.c.path, table.c.hour)
    if path is not None:
        query = query.where(table.c.path == path)
    return [
        Hour(
            row.path, unstamp(row.hour), row.bytes, row.records, row.parsed, row.unparsed, row.sampled, _counts(row.unreadable)
        )
        for row in connection.execute(query)
    ]


def _copy(total: Coverage) -> Coverage:
    return replace(total, notes=[*total.notes], examples=[*total.examples], unreadable=total.unreadable.copy())


def _counts(text: str) -> Counter[str]:
    return Counter(json.loads(text))


def _add_to_input(connection: Connection, fresh: Coverage) -> None:
    this = {"b_path": fresh.path}
    kept = connection.scalar(_INPUT, this)
    if kept is None:
        connection.execute(insert(schema.inputs), {"path": fresh.path, "body": dumps(fresh)})
    else:
        connection.execute(_CHANGED_INPUT, {**this, "body": dumps(_joined(loads(Coverage, kept), fresh))})


def _joined(kept: Coverage, fresh: Coverage) -> Coverage:
    known = fresh.format is not None
    joined = replace(
        kept,
        format=fresh.format if known else kept.format,
        sure=fresh.sure if known else kept.sure,
        bytes=kept.bytes + fresh.bytes,
        records=kept.records + fresh.records,
        parsed=kept.parsed + fresh.parsed,
        unparsed=kept.unparsed + fresh.unparsed,
        excluded=kept.excluded + fresh.excluded,
        sampled=kept.sampled or fresh.sampled,
        complete=kept.complete and fresh.complete,
        sha256=fresh.sha256 or kept.sha256,
        notes=list(dict.fromkeys([*kept.notes, *fresh.notes])),
        examples=list(dict.fromkeys([*kept.examples, *fresh.examples]))[:EXAMPLES],
        unreadable=kept.unreadable + fresh.unreadable,
    )
    for time in (fresh.first, fresh.last):
        if time is not None:
            joined.saw(time)
    return joined


def _add_to_hour(connection: Connection, fresh: Coverage, now: datetime) -> None:
    hour = stamp((fresh.last or now).astimezone(UTC).replace(minute=0, second=0, microsecond=0))
    this = {"b_path": fresh.path, "b_hour": hour}
    kept = connection.execute(_HOUR, this).mappings().one_or_none()
    row: dict[str, Any] = {"sampled": fresh.sampled or bool(kept and kept["sampled"])}
    for name in ("bytes", "records", "parsed", "unparsed"):
        row[name] = getattr(fresh, name) + (kept[name] if kept else 0)
    unreadable = fresh.unreadable + (_counts(kept["unreadable"]) if kept else Counter())
    row["unreadable"] = json.dumps(unreadable, sort_keys=True)
    if kept is None:
        connection.execute(insert(schema.coverage), {"path": fresh.path, "hour": hour, **row})
    else:
        connection.execute(_CHANGED_HOUR, {**this, **row})
