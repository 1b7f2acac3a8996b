"""Times as logs write them: the forms that several formats share, as patterns, and one way to read them all."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sentinel.formats.format import Clock, Malformed, utc_from_epoch
from sentinel.formats.pattern import Pattern

ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
MONTH_FIRST = r"[A-Z][a-z]{2} [ \d]?\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,6})?"
DAY_FIRST = r"\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d(?:\.\d{1,6})?"

_MONTHS = {
    name: number
    for number, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}
_PARTS = Pattern(r"([A-Z][a-z]{2}) +(\d{1,2}) (?:(\d{4}) )?(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?\Z", re.ASCII)
_EPOCH = Pattern(r"(\d{1,11})(?:\.(\d{1,9}))?\Z", re.ASCII)


def read_time(text: str, clock: Clock) -> datetime:
    """Return the UTC time of *text*, which one of the patterns above matched; *clock* gives what it lacks, zone or year.

    Raises:
        Malformed: There is no such date.
    """
    try:
        if not text[0].isdigit():
            return _month_first(text, clock)
        time = _day_first(text) if text[2] == "-" else datetime.fromisoformat(text)
        return clock.local(time) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        raise Malformed(f"no time: {text[:40]!r}") from error


def epoch_time(text: str) -> datetime:
    """Return Unix seconds, with or without a fraction, in UTC.

    Raises:
        Malformed: It is no such number, or beyond what a date can hold.
    """
    found = _EPOCH.match(text)
    if found is None:
        raise Malformed(f"no Unix time: {text[:40]!r}")
    return utc_from_epoch(int(found[1]), _microseconds(found[2]))


def _microseconds(fraction: str | None) -> int:
    return int(fraction.ljust(6, "0")[:6]) if fraction else 0


def _day_first(text: str) -> datetime:
    return datetime.fromisoformat(f"{text[7:11]}-{_MONTHS[text[3:6]]:02d}-{text[:2]}T{text[12:]}")


def _month_first(text: str, clock: Clock) -> datetime:
    found = _PARTS.match(text)
    if found is None:
        raise ValueError("no 'Mmm dd hh:mm:ss'")
    month, day, year, hour, minute, second, fraction = found.groups()
    at = _MONTHS[month], int(day), int(hour), int(minute), int(second), _microseconds(fraction)
    return clock.local(datetime(int(year), *at)) if year else clock.without_year(*at)  # noqa: DTZ001
