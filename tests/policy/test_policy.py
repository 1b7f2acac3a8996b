"""Policy: which network an address lies in, what is allowed from there, to whom and when, and what is never recorded."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.policy.file import PolicyFile
from sentinel.policy.policy import Person, Policy, Use
from sentinel.terms import Verdict

POLICY = PolicyFile.model_validate(
    {
        "networks": [
            {"name": "Department", "cidr": ["10.0.0.0/8", "2001:db8::/32"]},
            {"name": "Bureau", "cidr": ["10.20.0.0/16"], "unit": "Detectives", "zone": "offices"},
            {"name": "Bureau annex", "cidr": ["10.30.0.0/16"], "unit": "Detectives"},
        ],
        "sanctioned": [
            {"service": "county", "hosts": ["Faces.County.Example."]},
            {"service": "betaface", "networks": ["Bureau"]},
            {"service": "county-2", "units": ["Detectives"], "hosts": ["two.county.example"]},
            {"service": "pimeyes", "networks": ["Department"], "from": "2026-02-01", "until": "2026-02-28"},
        ],
        "exceptions": [
            {
                "service": "clearview-ai", "person": ["jdoe", "ASmith"], "from": "2026-03-01", "until": "2026-03-31",
                "case": 20260117, "legal_basis": "court order 12/26", "approved_by": "Chief Adams",
            },
            {
                "service": "facecheck-id", "unit": "Detectives", "network": "Bureau annex", "from": "2026-03-01T08:00Z",
                "until": "2026-03-01T16:00Z", "case": "2026-0118", "legal_basis": "consent", "approved_by": "Chief Adams",
            },
        ],
        "exclusions": [{"name": "Ombuds office", "cidr": ["10.9.0.0/28", "2001:db8:9::/64"]}],
        "domains": ["DEPT", "dept.example"],
    }
).made(UTC)  # fmt: skip
MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


def judge(service="clearview-ai", client=None, *users, category="face-search", at=MARCH, lasted=timedelta(), units=()):
    people = [
        Person(frozenset([user.casefold()]), unit) for user, unit in zip(users, units or [None] * len(users), strict=True)
    ]
    return POLICY.judge(Use(service, category, client, people, at, at + lasted))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.20.3.4", "Bureau"),
        ("10.21.0.1", "Department"),
        ("2001:db8::5", "Department"),
        ("192.0.2.1", None),
        (None, None),
    ],
)
def test_the_narrowest_network_that_holds_an_address_names_it(address, network):
    """A unit's range lies inside the department's: the unit is what a reader wants to know."""
    assert POLICY.network(address) == network
    assert POLICY.network(address) == network, "also when it is remembered"


@pytest.mark.parametrize(
    ("service", "category", "client", "verdict"),
    [
        ("clearview-ai", "face-search", "10.20.3.4", Verdict.UNSANCTIONED),
        ("betaface", "face-search", "10.20.3.4", Verdict.SANCTIONED),
        ("betaface", "face-search", "10.21.0.1", Verdict.UNSANCTIONED),
        ("betaface", "face-search", "192.0.2.1", Verdict.UNSANCTIONED),
        ("betaface", "face-search", None, Verdict.UNSANCTIONED),
        ("county", "sanctioned", None, Verdict.SANCTIONED),
        ("county-2", "sanctioned", "10.30.0.1", Verdict.SANCTIONED),
        ("county-2", "sanctioned", "10.21.0.1", Verdict.UNSANCTIONED),
        ("unlisted", "sanctioned", "192.0.2.1", Verdict.SANCTIONED),
    ],
)
def test_a_service_is_sanctioned_only_where_policy_says_so(service, category, client, verdict):
    """What is allowed to one unit is not thereby allowed to another, nor is the county's own system when policy limits it."""
    assert judge(service, client, category=category).verdict is verdict


def test_what_is_allowed_to_a_network_is_allowed_to_the_networks_within():
    """An address of the Bureau lies in the Department's range as well."""
    assert judge("pimeyes", "10.20.3.4", at=datetime(2026, 2, 10, tzinfo=UTC)).verdict is Verdict.SANCTIONED


def test_a_service_that_was_allowed_for_a_time_is_judged_by_when_it_was_used():
    """History is never judged by what is allowed today."""
    said = [judge("pimeyes", "10.20.3.4", at=datetime(2026, month, 15, tzinfo=UTC)) for month in (1, 2, 3)]
    assert [one.verdict.value for one in said] == ["unsanctioned", "sanctioned", "unsanctioned"]
    assert "only from Department since 2026-02-01 00:00 UTC until 2026-03-01 00:00 UTC" in said[2].reason


@pytest.mark.parametrize(
    ("users", "verdict"),
    [
        (("jdoe",), Verdict.EXCEPTED),
        (("JDoe",), Verdict.EXCEPTED),
        (("asmith",), Verdict.EXCEPTED),
        (("DEPT\\jdoe",), Verdict.EXCEPTED),
        (("jdoe@Dept.Example",), Verdict.EXCEPTED),
        (("OTHER\\jdoe",), Verdict.UNSANCTIONED),
        (("jdoe@other.example",), Verdict.UNSANCTIONED),
        (("jdoe2",), Verdict.UNSANCTIONED),
        (("jdoe", "asmith"), Verdict.EXCEPTED),
        (("jdoe", "ruiz"), Verdict.UNSANCTIONED),
        ((), Verdict.UNSANCTIONED),
    ],
)
def test_an_exception_is_for_the_people_it_names_and_nobody_else(users, verdict):
    """Of several users at one address each has to be excepted; who is unknown is not; another domain's jdoe is another one."""
    assert judge("clearview-ai", "10.20.3.4", *users).verdict is verdict


@pytest.mark.parametrize(
    ("start", "lasted", "verdict", "why"),
    [
        ("2026-02-28T23:59", 0, "unsanctioned", "began only 2026-03-01 00:00 UTC"),
        ("2026-02-28T23:59", 10, "unsanctioned", "covers only a part of it"),
        ("2026-03-01T00:00", 0, "excepted", "case 20260117 (court order 12/26; approved by Chief Adams)"),
        ("2026-03-31T23:59", 0, "excepted", "until 2026-04-01 00:00 UTC"),
        ("2026-03-31T23:59", 10, "unsanctioned", "covers only a part of it"),
        ("2026-04-01T00:00", 0, "unsanctioned", "ended 2026-04-01 00:00 UTC"),
    ],
)
def test_an_exception_holds_from_the_first_to_the_last_day_it_names(start, lasted, verdict, why):
    """Judged by event time; a use of which a part lies outside is not excepted, and the reason tells what nearly was."""
    said = judge("clearview-ai", None, "jdoe", at=datetime.fromisoformat(start + "+00:00"), lasted=timedelta(minutes=lasted))
    assert said.verdict.value == verdict
    assert why in said.reason
    assert (said.exception is not None) == (verdict == "excepted")


@pytest.mark.parametrize(
    ("client", "users", "units", "verdict"),
    [
        ("10.30.0.5", (), (), Verdict.EXCEPTED),
        ("10.20.3.4", (), (), Verdict.UNSANCTIONED),
        ("10.30.0.5", ("ruiz",), ("Detectives",), Verdict.EXCEPTED),
        ("10.30.0.5", ("ruiz",), ("Records",), Verdict.UNSANCTIONED),
        ("10.30.0.5", ("ruiz", "ebert"), ("Detectives", "Records"), Verdict.UNSANCTIONED),
    ],
)
def test_of_unit_and_network_both_must_hold_and_a_persons_unit_counts_before_the_desks(client, users, units, verdict):
    """Somebody of Records at a detective's desk is still of Records."""
    assert judge("facecheck-id", client, *users, units=units).verdict is verdict


def test_hosts_of_a_sanctioned_system_are_canonical():
    """They are compared with names in lower case without the final dot."""
    assert POLICY.own_hosts()["county"] == ("county", ["faces.county.example"])


@pytest.mark.parametrize(
    ("address", "excluded"),
    [
        ("10.9.0.5", True),
        ("10.9.0.16", False),
        ("2001:db8:9::1", True),
        ("2001:db8:8::1", False),
        ("host", False),
        (None, False),
    ],
)
def test_excluded_addresses_are_known_in_both_families(address, excluded):
    """What is no address, such as a name among a query's answers, is not excluded."""
    assert POLICY.excludes(address) is excluded
    assert POLICY.excludes("192.0.2.1", address) is excluded
    assert Policy().excludes(address) is False


@pytest.mark.parametrize(
    ("record", "excluded"),
    [
        (b"client 10.9.0.5#53", True),
        (b"at 10.9.0.5.", True),
        (b"10.9.0.5:443 x", True),
        (b"[2001:DB8:9::1]:443", True),
        (b"::ffff:10.9.0.5", True),
        (b"10.9.0.50 110.9.0.5 10.9.0.5.1", False),
        (b"\xff\x00:::..", False),
    ],
)
def test_a_record_that_mentions_an_excluded_address_is_known(record, excluded):
    """The reason why a record could not be read may quote it."""
    assert POLICY.mentions_excluded(record) is excluded
    assert Policy().mentions_excluded(record) is False


@given(st.binary(max_size=200))
def test_any_bytes_can_be_asked_for_excluded_addresses(record):
    """Records are what strangers write."""
    assert POLICY.mentions_excluded(record) in (True, False)
