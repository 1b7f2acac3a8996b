"""Numbers for the report's charts: sessions over time, and the longest bars of a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BARS = 12
SLOTS = 96


@dataclass(frozen=True, slots=True)
class Bar:
    """A name and its sessions: against policy, and allowed. `share` is the whole bar's part of the longest, 0.0 to 1.0."""

    name: str
    against: int
    allowed: int
    share: float

    @property
    def count(self) -> int:
        """All sessions."""
        return self.against + self.allowed


@dataclass(frozen=True, slots=True)
class Timeline:
    """Sessions by the time they began, in slots of equal length without a gap between them."""

    unit: str  # "hour", "day", "week", "month", "year"
    slots: tuple[Bar, ...]
    most: int


def bars(counted: Iterable[tuple[str, bool]]) -> list[Bar]:
    """Return the `BARS` names with the most sessions; *counted* has a name and "against policy" for each session.

    The rest, if there is any, is the last bar, "and 7 others".
    """
    against: Counter[str] = Counter()
    allowed: Counter[str] = Counter()
    for name, unsanctioned in counted:
        (against if unsanctioned else allowed)[name] += 1
    names = sorted(against.keys() | allowed.keys(), key=lambda n: (-against[n] - allowed[n], n))
    held = [(name, against[name], allowed[name]) for name in names[:BARS]]
    rest = names[BARS:]
    if rest:
        held.append((f"and {len(rest)} others", sum(against[n] for n in rest), sum(allowed[n] for n in rest)))
    most = max((a + b for _name, a, b in held), default=1)
    return [Bar(name, a, b, (a + b) / most) for name, a, b in held]


def timeline(started: Sequence[tuple[datetime, bool]]) -> Timeline | None:
    """Return sessions over time; None when there are none. *started* has a time and "against policy" for each session.

    The slots are the shortest of hour, day, week, month, year of which at most `SLOTS` hold everything.
    """
    if not started:
        return None
    times = [time.astimezone(UTC) for time, _against in started]
    unit, edges = next((unit, edges) for unit in _UNITS if (edges := _edges(unit, min(times), max(times))) is not None)
    counts = Counter((_floor(unit, time), against) for time, (_time, against) in zip(times, started, strict=True))
    most = max(counts[edge, True] + counts[edge, False] for edge in edges)
    return Timeline(unit, tuple(_slot(unit, edge, counts[edge, True], counts[edge, False], most) for edge in edges), most)


_UNITS = ("hour", "day", "week", "month", "year")
_WRITTEN = {"hour": "%Y-%m-%d %H:00", "day": "%Y-%m-%d", "week": "week of %Y-%m-%d", "month": "%Y-%m", "year": "%Y"}


def _slot(unit: str, edge: datetime, against: int, allowed: int, most: int) -> Bar:
    return Bar(edge.strftime(_WRITTEN[unit]), against, allowed, (against + allowed) / most)


def _floor(unit: str, time: datetime) -> datetime:
    hour = time.replace(minute=0, second=0, microsecond=0)
    if unit == "hour":
        return hour
    day = hour.replace(hour=0)
    if unit == "week":
        return day - timedelta(days=day.weekday()) if day.year > 1 else day
    return {"day": day, "month": day.replace(day=1), "year": day.replace(month=1, day=1)}[unit]


def _edges(unit: str, first: datetime, last: datetime) -> list[datetime] | None:
    """Return the beginnings of all slots from *first* to *last*; None when there are more than `SLOTS`, save for years."""
    edges = [_floor(unit, first)]
    end = _floor(unit, last)
    while edges[-1] < end:
        if len(edges) == SLOTS and unit != "year":
            return None
        edges.append(_next(unit, edges[-1]))
    return edges


def _next(unit: str, edge: datetime) -> datetime:
    if unit == "month":
        return edge.replace(year=edge.year + edge.month // 12, month=edge.month % 12 + 1)
    if unit == "year":
        return edge.replace(year=edge.year + 1)
    return edge + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[unit]
