"""The numbers of the report's charts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.investigate.charts import BARS, SLOTS, bars, timeline

START = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def test_the_longest_bars_come_first_and_the_rest_is_summed():
    """A department has thousands of clients; the chart stays readable, and its bars still add up to everything."""
    held = bars((f"client {n}", n % 2 == 0) for n in range(30) for _ in range(n + 1))
    assert len(held) == BARS + 1
    assert held[0].name == "client 29"
    assert held[-1].name == "and 18 others"
    assert sum(bar.count for bar in held) == sum(range(31))


@pytest.mark.parametrize(
    ("hours", "unit", "slots"),
    [
        (0, "hour", 1),
        (5, "hour", 6),
        (24 * 40, "day", 41),
        (24 * 7 * 60, "week", 61),
        (24 * 365 * 4, "month", 48),
        (24 * 365 * 12, "year", 13),
    ],
)
def test_the_unit_follows_the_span_and_slots_without_a_session_stay(hours, unit, slots):
    """A quiet month must show as one: leaving it out would draw steady use."""
    line = timeline([(START, True), (START + timedelta(hours=hours), False)])
    assert (line.unit, len(line.slots)) == (unit, slots)
    assert sum(slot.count for slot in line.slots) == 2


@pytest.mark.integration
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.datetimes(timezones=st.just(UTC)), st.booleans()), min_size=1, max_size=20))
def test_every_session_is_drawn_exactly_once(started):
    """Clocks in captures may be set to any year."""
    line = timeline(started)
    assert sum(slot.against for slot in line.slots) == sum(against for _time, against in started)
    assert sum(slot.count for slot in line.slots) == len(started)
    assert max(slot.share for slot in line.slots) == 1
    assert len(line.slots) <= SLOTS or line.unit == "year"


def test_no_sessions_draw_nothing():
    """An empty frame would look like a measured nought."""
    assert timeline([]) is None
    assert bars([]) == []
