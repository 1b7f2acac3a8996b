"""Sentinel beside tshark, over what real programs send while packets are lost, overtaken, sent twice and cut into fragments."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.oracle.day import WAYS, lived
from tests.oracle.dissection import dissected, offloaded
from tests.oracle.facts import Field, compare
from tests.oracle.observed import observed
from tests.oracle.reasons import oracle_repeats, oracle_stops

LEAST = 0.999
MANY = {"clean": 120, "bad path": 50, "fragments": 50}
"""How often each program asks."""


@pytest.mark.parametrize("way", WAYS)
def test_sentinel_sees_what_the_oracle_sees(tmp_path, way):
    """Recall and precision are at least 99.9 % a field, each difference is explained, and no name asked for is missing."""
    capture = tmp_path / ("day.pcap" if WAYS[way].writer == "tcpdump" else "day.pcapng")
    names = lived(tmp_path, capture, WAYS[way], MANY[way])
    oracle, ours = dissected(capture), observed(capture)
    comparison = compare(oracle, ours, missed=oracle_repeats(ours), extra=oracle_stops(offloaded(capture)))
    print(comparison.table())
    assert comparison.unexplained == [], comparison.table()
    for field, score in comparison.scores.items():
        assert min(score.recall, score.precision) >= LEAST, f"{field}: {score}"
    seen = {word for fact in ours for word in fact.value.split(" ")}
    assert names <= seen
    assert len(comparison.scores) == len(get_args(Field)), "a field was not tried"
