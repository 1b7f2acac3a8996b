"""The findings of an inquiry on disk: all of them, as they were, in the order of when and where."""

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sentinel.activity.records import Finding, Origin
from sentinel.investigate.found import Found
from sentinel.observation import Observation
from sentinel.terms import Basis, Stage

START = datetime(2026, 3, 1, tzinfo=UTC)

PLACES = st.builds(
    lambda seconds, path, offset: (START + timedelta(seconds=seconds), Origin(path=path, offset=offset)),
    st.integers(-3, 3),
    st.sampled_from(["b.log", "a.log", "\udcff.log"]),
    st.integers(0, 3),
)


def found(when, origin, number=0):
    return Finding(
        id=f"fi_{number}", observation=Observation(time=when, kind="dns_query", name="pimeyes.com", client="10.0.0.1"),
        service="pimeyes", category="face-search", indicator="domain pimeyes.com", stage=Stage.LOOKUP, basis=Basis.OBSERVED,
        name="pimeyes.com", origin=origin, raw=b"", sha256="", parser="x/1", ruleset="", arrived=START,
    )  # fmt: skip


@given(st.lists(PLACES, max_size=12))
def test_they_come_back_as_they_were_in_the_order_of_when_and_where(places):
    """Whoever reads the answer follows the events; two of one place stay as they were read."""
    added = [found(when, origin, number) for number, (when, origin) in enumerate(places)]
    held = Found(added)
    expected = sorted(added, key=lambda f: (f.observation.time, f.origin.path, f.origin.offset))
    assert list(held) == expected
    assert len(held) == len(added)
    assert held[1:] == expected[1:]


def test_memory_does_not_grow_with_what_they_say():
    """A log may be nothing but findings."""
    one = found(START, Origin(path="a.log", offset=0))
    long = replace(one, observation=replace(one.observation, url="https://pimeyes.com/" + "x" * 5000))
    held = Found()
    held.add(long)
    tracemalloc.start()
    for _ in range(2000):
        held.add(long)
    assert tracemalloc.get_traced_memory()[0] < 500_000
    tracemalloc.stop()
    assert len(list(held)) == 2001
