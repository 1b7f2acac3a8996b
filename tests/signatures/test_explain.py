"""Why a name matches, and why a name that looks alike does not."""

import pytest

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.explain import explain
from sentinel.signatures.file import Case
from sentinel.signatures.selftest import observed
from sentinel.signatures.service import Service

CATALOG = Catalog.of(
    [
        Service.of(
            {
                "id": "faces", "name": "Faces", "category": "face-search", "severity": "high", "references": [],
                "indicators": [{"domain": "faces.example"}],
            }
        )
    ]
)  # fmt: skip


def test_a_match_is_named_and_is_not_near_too():
    """The analyst asks which indicator made the alert."""
    found = explain(CATALOG, observed(Case(dns="app.faces.example")))
    assert ([match.indicator for match in found.matches], found.near) == (["domain faces.example"], [])


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (Case(dns="notfaces.example"), "only ends alike"),
        (Case(dns="faces.example.org"), "inside a longer one"),
        (Case(url="https://news.example/faces.example"), "mentions the name"),
    ],
)
def test_a_look_alike_is_near_with_the_reason(case, why):
    """Whoever expected a hit learns why there is none."""
    found = explain(CATALOG, observed(case))
    assert found.matches == []
    assert [why in near.why for near in found.near] == [True]


def test_a_name_of_somebody_else_resembles_nothing():
    """Noise would hide the near misses that matter."""
    assert explain(CATALOG, observed(Case(dns="clearview-cpa.ca"))).near == []
