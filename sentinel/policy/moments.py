"""Dates and times as people write them into a policy or a table, turned into UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

Zone = tzinfo | None
"""The zone of what carries none; None: the machine's."""

Written = str | date | datetime


def beginning(written: Written, zone: Zone) -> datetime:
    """Return when *written* begins: a date at its midnight, a time as it is.

    Raises:
        ValueError: It is neither.
    """
    return _utc(_read(written), zone)


def end(written: Written, zone: Zone) -> datetime:
    """Return when *written* is over, exclusive: a date with its last moment, a time as it is.

    Raises:
        ValueError: It is neither, or lies at the end of time.
    """
    read = _read(written)
    try:
        return _utc(read if isinstance(read, datetime) else read + timedelta(days=1), zone)
    except OverflowError as error:
        raise ValueError(f"{written!r} lies beyond the calendar") from error


def _read(written: Written) -> date | datetime:
    if not isinstance(written, str):
        return written
    text = written.strip()
    try:
        return date.fromisoformat(text) if len(text) == len("2026-03-01") else datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{written!r} is no date; write 2026-03-01 or 2026-03-01T14:00+01:00") from None


def _utc(read: date | datetime, zone: Zone) -> datetime:
    moment = read if isinstance(read, datetime) else datetime.combine(read, time())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{read} lies beyond the calendar") from error
