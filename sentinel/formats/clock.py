"""Completes times that carry no year, no zone or no date at all, and says what was assumed."""

from __future__ import annotations

import os
from calendar import isleap
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sentinel.formats.format import Malformed

AHEAD = timedelta(days=1)
"""How far a record may seem to lie after its stream was last written: clocks differ, and a zone may be wrong by hours."""

BACK = timedelta(days=60)
"""How far a date may lie before the one ahead of it: files are put together in the wrong order. Else it is the next year's."""

YEAR = timedelta(days=366)

DISORDER = timedelta(minutes=1)
"""How far threads and relays put neighbouring records out of order; a longer step back is a clock that was set back."""

YEARS_BACK = 8
"""29 February may be that far away: 1900 and 2100 have none."""


def zone_of(name: str | None) -> tzinfo:
    """Return the zone of an IANA name, or the machine's own when None.

    Raises:
        ValueError: There is no zone of this name.
    """
    try:
        return _machine_zone() if name is None else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: "Europe" is a folder
        raise ValueError(f"no time zone is called {name!r}; write an IANA name such as America/Los_Angeles") from error


def _machine_zone() -> tzinfo:
    """Return the machine's zone with all its rules; today's offset alone would be an hour off for half the year."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if named:
        return ZoneInfo(named)
    rules = Path("/etc/localtime")
    if not rules.exists():
        return UTC
    name = str(rules.resolve()).partition("zoneinfo/")[2]
    with rules.open("rb") as file:
        return ZoneInfo.from_file(file, key=name or "the machine's zone")


class StreamClock:
    """The clock of the device that wrote one stream of records.

    A date without a year gets the year that lets it follow the record before it, and, for the first record, the latest
    one possible; never one that puts it more than a day after the stream was last written. A stream that holds several
    years therefore has to be probed (`learn`) before its first record is read.

    The records need not all come by, as long as no ten months lie between two that do.
    """

    def __init__(self, zone: tzinfo, modified: datetime | None) -> None:
        """Start before the first record.

        Args:
            zone: Of the device, for times that carry none.
            modified: When the stream was last written (UTC); None when nothing tells.
        """
        self._zone = zone
        self._modified = modified
        self._latest = self._latest_local()
        self._last: datetime | None = None  # the record before, in local time without its zone
        self._last_utc: datetime | None = None
        self._minute: tuple[int, int, int] | None = None  # the last one that was looked up, and its offset
        self._offset: timedelta | None = None
        self._years: tuple[int, int] | None = None  # first and last that were inferred
        self._month_first: bool | None = None  # of dates in numbers, when one showed it
        self._noted: set[str] = set()

    def written_until(self, time: datetime) -> None:
        """Move the bound: the stream was written as late as *time* (UTC). For streams that grow while they are read."""
        if self._modified is None or time > self._modified:
            self._modified = time
            self._latest = self._latest_local()

    def learn(self, dates: Sequence[tuple[int, int]]) -> None:
        """Find the year of the first record from the (month, day) of records at increasing offsets, the last one's included.

        The last date lies in the latest year possible, of which a 29 February among them may leave few, and each turn of the
        year between two of them sets the first back by one. Does nothing when the year is known already, or nothing tells when
        the stream was written.

        Raises:
            ValueError: A date does not exist in any year.
        """
        if self._last is not None or self._latest is None or not dates:
            return
        days = [date(2000, month, day).toordinal() for month, day in dates]
        steps = [after - before for before, after in pairwise(days)]
        turns = [(step < -BACK.days) - (step > YEAR.days - BACK.days) for step in steps]
        behind = [*accumulate(reversed(turns), initial=0)][::-1]  # how many years before the last date each lies
        last = self._nearest(*dates[-1])
        if last is not None:
            leaps = [years for one, years in zip(dates, behind, strict=True) if one == (2, 29)]
            fits = (year for year in range(last.year, last.year - YEARS_BACK, -1) if all(isleap(year - n) for n in leaps))
            self._last = last.replace(year=next(fits, last.year) - behind[0], month=dates[0][0], day=1)

    def local(self, naive: datetime) -> datetime:
        """Return *naive*, a local time of the device, in UTC.

        Of an hour that comes twice, when clocks are set back, that one is taken which keeps the records in order.

        Raises:
            Malformed: Beyond what a date can hold.
        """
        self._noted.add("zone")
        try:
            return self._in_utc(naive)
        except OverflowError as error:
            raise Malformed(f"the time {naive}: {error}") from error

    def without_year(self, month: int, day: int, hour: int, minute: int, second: int, microsecond: int = 0) -> datetime:
        """Return the UTC time of a date that carries no year.

        Raises:
            Malformed: There is no such date, or nothing tells the year.
        """
        naive = self._nearest(month, day, hour, minute, second, microsecond)
        if naive is None:
            why = "no such date" if self._last or self._latest else "no year, and nothing tells when this was written"
            raise Malformed(f"month {month}, day {day}, {hour}:{minute}:{second}: {why}")
        if self._last is not None and naive.year < self._last.year and self._last - naive > BACK:
            self._noted.add("back")
        first, last = self._years or (naive.year, naive.year)
        self._years = min(first, naive.year), max(last, naive.year)
        return self.local(naive)

    def month_and_day(self, first: int, second: int, month_first: bool) -> tuple[int, int]:
        """Return month and day of a date in numbers, in the order that this date or one before it shows.

        Where none did, *month_first* says which order is likely; that it was assumed is told.
        """
        if first > 12 or second > 12:
            self._month_first = second > 12
        elif first != second and self._month_first is None:
            self._noted.add("month first" if month_first else "day first")
        order = month_first if self._month_first is None else self._month_first
        return (first, second) if order else (second, first)

    def learn_order(self, month_first: bool | None) -> None:
        """Take up which order dates in numbers have; None when the records that were looked at do not show it."""
        if self._month_first is None:
            self._month_first = month_first

    def undated(self) -> datetime:
        """Return when the stream was last written: what a record that carries no time cannot be later than.

        Raises:
            Malformed: Nothing tells.
        """
        if self._modified is None:
            raise Malformed("no time, and nothing tells when this was written")
        self._noted.add("undated")
        return self._modified

    def assumptions(self) -> list[str]:
        """Return what was assumed so far, in sentences for the coverage."""
        said = []
        if "zone" in self._noted:
            said.append(f"times carry no zone: {getattr(self._zone, 'key', None) or self._zone} assumed")
        if "twice" in self._noted:
            said.append("times in the hour that came twice when clocks were set back: placed by the order of the records")
        if self._years:
            first, last = self._years
            years = str(first) if first == last else f"{first} to {last}"
            said.append(f"times carry no year: {years} inferred from when the file was last written and the records' order")
        if "back" in self._noted:
            said.append("dates without a year run on past the time of the last writing: the years before that are uncertain")
        orders = sorted({"month first", "day first"} & self._noted)
        said += [f"no date shows whether the month or the day stands first: {order} assumed" for order in orders]
        if "undated" in self._noted:
            said.append("records carry no time: they are dated with the time of the last writing, and may be older")
        return said

    def state(self) -> dict[str, Any]:
        """Return what a position has to keep, JSON-able."""
        return {
            "last": self._last.isoformat() if self._last else None,
            "last_utc": self._last_utc.isoformat() if self._last_utc else None,
            "years": list(self._years) if self._years else None,
            "month_first": self._month_first,
            "noted": sorted(self._noted),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._last = datetime.fromisoformat(state["last"]) if state["last"] else None
        self._last_utc = datetime.fromisoformat(state["last_utc"]) if state["last_utc"] else None
        self._years = (state["years"][0], state["years"][1]) if state["years"] else None
        self._month_first = state.get("month_first")
        self._noted = set(state["noted"])

    def _latest_local(self) -> datetime | None:
        if self._modified is None:
            return None
        try:
            return self._modified.astimezone(self._zone).replace(tzinfo=None) + AHEAD
        except OverflowError:  # an archive's member may claim the year 9999
            return None

    def _nearest(
        self, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, microsecond: int = 0
    ) -> datetime | None:
        """Return the local time in the year that fits best, None when there is none."""
        anchor = self._last or self._latest
        if anchor is None:
            return None
        time = hour, minute, second, microsecond
        same = _date(anchor.year, month, day, *time)
        if same is not None and self._follows(same):
            return same
        dates = (_date(year, month, day, *time) for year in range(anchor.year - YEARS_BACK, anchor.year + YEARS_BACK + 1))
        possible = [one for one in dates if one is not None and (self._latest is None or one <= self._latest)]
        following = [one for one in possible if self._follows(one)]
        return min(following or possible, key=lambda one: abs(one - anchor), default=None)

    def _follows(self, naive: datetime) -> bool:
        in_time = self._latest is None or naive <= self._latest
        return in_time and self._last is not None and -BACK <= naive - self._last < YEAR - BACK

    def _in_utc(self, naive: datetime) -> datetime:
        minute = naive.toordinal(), naive.hour, naive.minute
        if minute != self._minute:
            self._minute = minute
            self._offset = self._offset_of(naive)
        time = self._of_two(naive) if self._offset is None else (naive - self._offset).replace(tzinfo=UTC)
        self._last, self._last_utc = naive, time
        return time

    def _offset_of(self, naive: datetime) -> timedelta | None:
        """Return local time less UTC, None where the clock is set back or forth."""
        first = naive.replace(tzinfo=self._zone)
        offset = first.utcoffset()
        return offset if first.replace(fold=1).utcoffset() == offset else None

    def _of_two(self, naive: datetime) -> datetime:
        first = naive.replace(tzinfo=self._zone)
        time = first.astimezone(UTC)
        second = first.replace(fold=1).astimezone(UTC)
        if second > time:
            self._noted.add("twice")
            if self._last_utc is not None and time < self._last_utc - DISORDER:
                return second
        return time


def _date(year: int, month: int, day: int, hour: int, minute: int, second: int, microsecond: int) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001
    except ValueError:
        return None
