"""The clock of a stream: years, zones and hours that come twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.formats.clock import StreamClock, zone_of
from sentinel.formats.format import Malformed

BERLIN = ZoneInfo("Europe/Berlin")


def clock(modified: str | None) -> StreamClock:
    """Return a clock in UTC whose stream was last written then."""
    return StreamClock(UTC, datetime.fromisoformat(modified).replace(tzinfo=UTC) if modified else None)


def years(timing: StreamClock, *dates: tuple[int, int]) -> list[int]:
    """Return the years that noon of each (month, day) is given, one after the other."""
    return [timing.without_year(month, day, 12, 0, 0).year for month, day in dates]


@pytest.mark.parametrize(
    ("modified", "date", "year"),
    [
        ("2026-11-25", (11, 24), 2026),
        ("2026-11-25", (11, 25), 2026),
        ("2026-11-25", (11, 27), 2025),
        ("2026-01-02", (12, 31), 2025),
        ("2026-12-31", (1, 1), 2026),
        ("2025-12-31T20:00", (1, 1), 2026),
        ("2026-05-01", (2, 29), 2024),
        ("2024-02-29", (2, 29), 2024),
    ],
)
def test_the_first_record_lies_in_the_latest_year_possible(modified, date, year):
    """No more than a day after the file was last written: clocks and zones may differ by that."""
    assert years(clock(modified), date) == [year]


def test_new_year_in_the_middle_of_a_file():
    """Forwards, and back again for a record out of order."""
    assert years(clock("2026-01-03"), (12, 30), (12, 31), (1, 1), (12, 31), (1, 2)) == [2025, 2025, 2026, 2025, 2026]


def test_only_some_records_come_by():
    """The prefilter skips most of a file: months may lie between two that are read."""
    assert years(clock("2026-03-03"), (9, 1), (12, 20), (3, 1)) == [2025, 2025, 2026]


def test_probes_tell_the_first_year_of_a_file_of_several():
    """An archive of three years ends in the year of its last writing; the first record's year lies before."""
    timing = clock("2026-03-03")
    timing.learn([(11, 3), (2, 1), (8, 1), (12, 24), (1, 5), (7, 1), (12, 31), (3, 2)])
    assert years(timing, (11, 3), (2, 1), (2, 29), (8, 1), (12, 31), (1, 1), (7, 1), (12, 31), (3, 2)) == [
        2023, 2024, 2024, 2024, 2024, 2025, 2025, 2025, 2026,
    ]  # fmt: skip


def test_probes_out_of_order_make_no_year():
    """A straggler of the old year after midnight is not another turn of the year."""
    timing = clock("2026-03-03")
    timing.learn([(12, 30), (1, 1), (12, 31), (1, 2), (3, 1)])
    assert years(timing, (12, 30)) == [2025]


def test_a_leap_day_among_the_probes_leaves_the_leap_years():
    """A log of February 2024 that was copied in 2025 is of no year without that day."""
    timing = clock("2025-11-25")
    timing.learn([(2, 27), (2, 29), (3, 1)])
    assert years(timing, (2, 27), (2, 28), (2, 29), (3, 1)) == [2024] * 4


def test_a_growing_stream_moves_the_bound():
    """A daemon reads on for months: the next year's records must not be put into the last one."""
    timing = clock("2026-11-25")
    assert years(timing, (11, 25)) == [2026]
    timing.written_until(datetime(2027, 1, 5, 12, tzinfo=UTC))
    assert years(timing, (12, 31), (1, 5)) == [2026, 2027]


def test_without_the_bound_moved_dates_go_back_a_year_and_that_is_said():
    """Nothing later than the last writing; but then the years before it are in doubt."""
    timing = clock("2026-11-25")
    assert years(timing, (11, 25), (12, 31)) == [2026, 2025]
    assert any("uncertain" in sentence for sentence in timing.assumptions())


def test_without_anything_to_go_by_there_is_no_year():
    """None over a guess: the record is counted as not understood."""
    with pytest.raises(Malformed, match="no year"):
        years(clock(None), (11, 25))
    with pytest.raises(Malformed, match="no time"):
        clock(None).undated()


@pytest.mark.parametrize("date", [(2, 30, 1, 1, 1), (13, 1, 1, 1, 1), (0, 0, 0, 0, 0), (1, 1, 24, 0, 0), (1, 1, 0, 61, 0)])
def test_no_such_date(date):
    """A damaged line is malformed, whatever the year."""
    with pytest.raises(Malformed):
        clock("2026-11-25").without_year(*date)


def test_the_hour_that_comes_twice_keeps_the_records_in_order():
    """02:58 and then 02:01 is summer's hour and then winter's; the other way round an alert would be an hour off."""
    timing = StreamClock(BERLIN, None)
    local = ["01:59", "02:01", "02:58", "02:01", "02:00:30", "02:59", "03:00"]
    times = [timing.local(datetime.fromisoformat(f"2026-10-25 {time}")) for time in local]
    assert [time.strftime("%H:%M:%S") for time in times] == [
        "23:59:00",
        "00:01:00",
        "00:58:00",
        "01:01:00",
        "01:00:30",
        "01:59:00",
        "02:00:00",
    ]
    assert any("twice" in sentence for sentence in timing.assumptions())


def test_threads_that_overtake_each_other_do_not_turn_the_hour():
    """Seconds of disorder are usual."""
    timing = StreamClock(BERLIN, None)
    times = [timing.local(datetime.fromisoformat(f"2026-10-25 {time}")) for time in ("02:30:05", "02:30:01", "02:30:06")]
    assert [time.hour for time in times] == [0, 0, 0]


def test_the_hour_that_does_not_exist_is_read_by_the_rules_before_it():
    """A device that missed the change writes it; the record is not lost."""
    assert StreamClock(BERLIN, None).local(datetime.fromisoformat("2026-03-29 02:30")) == datetime(
        2026, 3, 29, 1, 30, tzinfo=UTC
    )


def test_what_was_assumed_is_said():
    """A report's reader has to know which times are inferred, and in which zone."""
    timing = StreamClock(BERLIN, datetime(2026, 1, 3, tzinfo=UTC))
    assert timing.assumptions() == []
    years(timing, (12, 31), (1, 1))
    zone, year = timing.assumptions()
    assert zone == "times carry no zone: Europe/Berlin assumed"
    assert year.startswith("times carry no year: 2025 to 2026 inferred")


def test_a_restarted_clock_goes_on():
    """After a crash at New Year the years are those that they would have been without it."""
    before = clock("2026-01-03")
    years(before, (12, 31), (1, 2))
    after = clock("2026-01-03")
    after.restore(json.loads(json.dumps(before.state())))
    assert after.state() == before.state()
    assert after.assumptions() == before.assumptions()
    assert years(after, (12, 31)) == [2025]


def test_zones_by_name():
    """An unknown name is the administrator's mistake, to be said; a folder of zones is one, too."""
    assert zone_of("Europe/Berlin") is BERLIN
    assert datetime(2026, 7, 1, tzinfo=zone_of(None)).utcoffset() is not None
    for name in ("Europe/Atlantis", "Europe", "../etc", "/etc/passwd"):
        with pytest.raises(ValueError, match="time zone"):
            zone_of(name)


def test_the_machines_zone_follows_tz(monkeypatch):
    """Containers set TZ; the rules come with it, not just today's offset."""
    monkeypatch.setenv("TZ", ":America/New_York")
    zone = zone_of(None)
    assert {datetime(2026, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)} == {timedelta(hours=-5), timedelta(hours=-4)}


@given(
    start=st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2040-01-01")),
    steps=st.lists(st.integers(0, 300 * 86400), max_size=20),
    slack=st.integers(-80000, 360 * 86400),
)
def test_records_in_order_are_dated_right_whatever_the_gaps(start, steps, slack):
    """With probes, and gaps below ten months: every record gets the year it was written in."""
    times = [start.replace(microsecond=0)]
    for step in steps:
        times.append(times[-1] + timedelta(seconds=step))
    timing = StreamClock(UTC, (times[-1] + timedelta(seconds=slack)).replace(tzinfo=UTC))
    timing.learn([(time.month, time.day) for time in times])
    for time in times:
        assert timing.without_year(time.month, time.day, time.hour, time.minute, time.second) == time.replace(tzinfo=UTC)
