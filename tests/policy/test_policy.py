"""Policy: which network an address lies in, and what is allowed from there."""

import pytest
from pydantic import ValidationError

from sentinel.policy.file import PolicyFile
from sentinel.terms import Verdict

POLICY = PolicyFile.model_validate(
    {
        "networks": [
            {"name": "Department", "cidr": ["10.0.0.0/8", "2001:db8::/32"]},
            {"name": "Detectives", "cidr": ["10.20.0.0/16"]},
        ],
        "sanctioned": [
            {"service": "county", "hosts": ["Faces.County.Example."]},
            {"service": "betaface", "networks": ["Detectives"]},
        ],
    }
).policy


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.20.3.4", "Detectives"),
        ("10.21.0.1", "Department"),
        ("2001:db8::5", "Department"),
        ("192.0.2.1", None),
        (None, None),
    ],
)
def test_the_narrowest_network_that_holds_an_address_names_it(address, network):
    """A unit's range lies inside the department's: the unit is what a reader wants to know."""
    assert POLICY.network(address) == network


@pytest.mark.parametrize(
    ("service", "category", "network", "verdict"),
    [
        ("clearview-ai", "face-search", "Detectives", Verdict.UNSANCTIONED),
        ("betaface", "face-search", "Detectives", Verdict.SANCTIONED),
        ("betaface", "face-search", "Department", Verdict.UNSANCTIONED),
        ("betaface", "face-search", None, Verdict.UNSANCTIONED),
        ("county", "sanctioned", None, Verdict.SANCTIONED),
    ],
)
def test_a_service_is_sanctioned_only_where_policy_says_so(service, category, network, verdict):
    """What is allowed to one unit is not thereby allowed to another."""
    assert POLICY.judge(service, category, network)[0] is verdict


def test_hosts_of_a_sanctioned_system_are_canonical():
    """They are compared with names in lower case without the final dot."""
    assert POLICY.own_hosts() == {"county": ("county", ["faces.county.example"])}


@pytest.mark.parametrize(
    "broken",
    [
        {"networks": [{"name": "x", "cidr": ["10.0.0.1/8"]}]},
        {"networks": [{"name": "x", "cidr": []}]},
        {"sanctioned": [{"service": "x", "networks": ["nowhere"]}]},
        {"network": []},
    ],
)
def test_a_mistake_in_the_policy_is_refused(broken):
    """A network with host bits, an empty one, an unknown one, an unknown key: each would quietly change a verdict."""
    with pytest.raises(ValidationError):
        PolicyFile.model_validate(broken)
