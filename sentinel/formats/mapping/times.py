"""Times as products write them: Unix time in any unit, ISO 8601, months by name, or a form of `strptime`.

Zones by abbreviation: only those that RFC 5322 (section 4.3) defines, as others mean several zones ("IST"); without one, the
device's own zone is taken.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from sentinel.formats.clock import zone_of
from sentinel.formats.format import Clock, Malformed, utc_from_epoch
from sentinel.formats.pattern import Pattern

_NUMBER = Pattern(r"(\d{9,20})(?:\.(\d{1,9})\d*)?\Z", re.ASCII)
_ISO = Pattern(
    r"(?P<date>\d{4}[-/]\d\d[-/]\d\d)[T ](?P<time>\d\d:\d\d:\d\d)(?:[.,](?P<part>\d{1,9}))?"
    r" ?(?P<zone>[A-Za-z]{1,5}|[+-]\d\d:?\d\d)?\Z",
    re.ASCII,
)
_NAMED = Pattern(
    r"(?:[A-Z][a-z]{2},? )?"
    r"(?:(?P<month>[A-Z][a-z]{2,8}) {1,2}(?P<day>\d{1,2})|(?P<day2>\d{1,2})[ /-](?P<month2>[A-Z][a-z]{2,8}))"
    r"(?:,?[ /-](?P<year>\d{4}))?[ :](?P<time>\d\d:\d\d:\d\d)(?:\.(?P<part>\d{1,9}))?(?: (?P<year2>\d{4}))?"
    r"(?: ?(?P<zone>[A-Z]{1,5}|[+-]\d\d:?\d\d)(?: (?P<year3>\d{4}))?)?\Z",
    re.ASCII,
)
_MONTHS = {
    name: number
    for number, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)
}
_ZONES = {
    "UT": 0,
    "UTC": 0,
    "GMT": 0,
    "Z": 0,
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
}
_OFFSET = Pattern(r"([+-])(\d\d):?(\d\d)\Z", re.ASCII)
_LONG_FRACTION = Pattern(r"(\.\d{6})\d+")
_FROM_1601 = 11_644_473_600
"""Seconds from 1 January 1601, where Windows and Chrome begin to count, to 1970."""

_LONGEST = 64


def read(text: str, form: str, zone: str | None, clock: Clock) -> datetime:
    """Return a time in UTC.

    Args:
        text: As the record has it.
        form: "auto", "webkit" (microseconds since 1601, as Chrome counts) or a form of `strptime`.
        zone: An IANA name, an offset or an abbreviation of RFC 5322; None or another word: the device's, which *clock* knows.
        clock: Gives what the time lacks: zone and year.

    Raises:
        Malformed: It is no such time.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        raise Malformed(f"no time: {text[:40]!r}")
    try:
        if form == "auto":
            return _auto(text, zone, clock)
        if form == "webkit":
            micros = int(text)
            return utc_from_epoch(micros // 1_000_000 - _FROM_1601, micros % 1_000_000)
        return _placed(*_by_form(text, form), zone, clock)
    except (ValueError, OverflowError, KeyError) as error:
        raise Malformed(f"no time: {text[:40]!r}") from error


def _auto(text: str, zone: str | None, clock: Clock) -> datetime:
    number = _NUMBER.match(text)
    if number:
        return epoch(number[1], number[2] or "")
    iso = _ISO.match(text)
    if iso:
        naive = datetime.fromisoformat(
            f"{iso['date'].replace('/', '-')}T{iso['time']}.{(iso['part'] or '0').ljust(6, '0')[:6]}"
        )
        return _placed(naive, True, iso["zone"] or zone, clock)
    named = _NAMED.match(text)
    if named is None:
        raise ValueError(text)
    year = named["year"] or named["year2"] or named["year3"]
    month = _MONTHS[(named["month"] or named["month2"])[:3].lower()]
    hour, minute, second = map(int, named["time"].split(":"))
    part = int((named["part"] or "0").ljust(6, "0")[:6])
    naive = datetime(int(year or 2000), month, int(named["day"] or named["day2"]), hour, minute, second, part)  # noqa: DTZ001
    return _placed(naive, year is not None, named["zone"] or zone, clock)


def epoch(digits: str, fraction: str = "") -> datetime:
    """Return Unix time in UTC; its size tells whether it counts seconds, milliseconds, microseconds or nanoseconds.

    Raises:
        Malformed: Beyond what a date can hold.
    """
    unit = 1 if len(digits) < 12 else 1_000 if len(digits) < 15 else 1_000_000 if len(digits) < 18 else 1_000_000_000
    seconds, part = divmod(int(digits), unit)
    if unit == 1:
        return utc_from_epoch(seconds, int(fraction.ljust(6, "0")[:6] or 0))
    return utc_from_epoch(seconds, part * 1_000_000 // unit)


def _by_form(text: str, form: str) -> tuple[datetime, bool]:
    text = _LONG_FRACTION.sub(r"\1", text)
    if "%Y" in form or "%y" in form:
        return datetime.strptime(text, form), True  # noqa: DTZ007  # the zone comes from elsewhere where the form has none
    return datetime.strptime(f"2000 {text}", f"%Y {form}"), False  # noqa: DTZ007


def _placed(time: datetime, dated: bool, zone: str | None, clock: Clock) -> datetime:
    """Return *time* in UTC: its own zone first, then the one that the record or the mapping names, then the device's."""
    if time.tzinfo is not None:
        return time.astimezone(UTC)
    named = _zone(zone) if zone else None
    if not dated:
        device = clock.without_year(time.month, time.day, time.hour, time.minute, time.second, time.microsecond)
        if named is None:
            return device
        years = [device.year] if (time.month, time.day) == (2, 29) else [device.year - 1, device.year, device.year + 1]
        there = (time.replace(year=year, tzinfo=named).astimezone(UTC) for year in years)
        return min(there, key=lambda one: abs(one - device))
    return clock.local(time) if named is None else time.replace(tzinfo=named).astimezone(UTC)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo | None:
    offset = _OFFSET.match(name)
    if offset:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-ahead if offset[1] == "-" else ahead)
    hours = _ZONES.get(name.upper())
    if hours is not None:
        return timezone(timedelta(hours=hours))
    if "/" not in name:
        return None
    try:
        return zone_of(name)
    except ValueError:
        return None
