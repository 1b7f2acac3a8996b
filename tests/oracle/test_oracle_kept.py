"""Sentinel beside tshark, over small captures that are kept."""

from __future__ import annotations

import gzip

import pytest

from tests.oracle.dissection import dissected, version
from tests.oracle.facts import compare
from tests.oracle.keep import facts_of, kept, said_by
from tests.oracle.observed import observed
from tests.oracle.reasons import oracle_repeats


@pytest.mark.integration
@pytest.mark.parametrize("capture", kept(), ids=lambda capture: capture.name)
def test_sentinel_sees_what_the_oracle_saw(capture):
    """No fact is missed and none is made up, in any field."""
    ours = observed(capture)
    comparison = compare(facts_of(capture), ours, missed=oracle_repeats(ours))
    assert comparison.unexplained == [], comparison.table()


@pytest.mark.integration
@pytest.mark.parametrize("capture", kept(), ids=lambda capture: capture.name)
def test_the_oracle_still_says_what_is_kept_of_it(tmp_path, capture):
    """What is kept is the oracle's own word, not ours: its facts were not mended to fit."""
    if version() != said_by(capture):
        pytest.skip(f"another tshark than what is kept: {said_by(capture)}")
    plain = tmp_path / capture.stem
    plain.write_bytes(gzip.decompress(capture.read_bytes()))
    assert dissected(plain) == facts_of(capture)
