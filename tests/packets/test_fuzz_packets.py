"""What tests/tools/fuzz_packets.py gives libFuzzer: every target takes its seeds, and a short run of made-up bytes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.packets.wire import Undecodable
from tests.tools.fuzz_packets import TARGETS, seeds


@pytest.mark.parametrize("target", TARGETS)
@given(at=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8), cut=st.floats(0, 1))
@settings(deadline=None, max_examples=8)
def test_a_target_takes_its_seeds_whole_changed_and_cut(target, at, cut):
    """Any bytes give a result or the one declared error; a target that refuses all of them would try nothing."""
    for seed in seeds()[target]:
        changed = bytearray(seed)
        for place, value in at:
            changed[int(place * len(changed))] = value
        for data in (seed, bytes(changed), bytes(changed[: int(cut * len(changed))])):
            with suppress(Undecodable):
                TARGETS[target](data)
