"""Reading a policy: every mistake at once with its line, and the policy's own tests."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.located import parsed
from sentinel.policy.cases import case_of
from sentinel.policy.reading import read_policy
from sentinel.problems import Problems

CATEGORIES = {"clearview-ai": "face-search", "betaface": "face-search", "pimeyes": "face-search", "county": "sanctioned"}
GOOD = """\
networks:
  - {name: Bureau, cidr: [10.20.0.0/16], unit: Detectives}
  - {name: Annex, cidr: [10.20.7.0/24]}
sanctioned:
  - {service: betaface, networks: [Bureau]}
exceptions:
  - service: clearview-ai
    person: jdoe
    from: 2026-03-01
    until: 2026-03-31
    case: 2026-0117
    legal_basis: court order 12/26
    approved_by: Chief Adams
exclusions:
  - {name: Ombuds office, cidr: [10.9.0.0/28]}
tests:
"""


def read(text, zone=UTC):
    return read_policy(*parsed(text.encode(), "policy.yaml"), "policy.yaml", zone)


def problems_in(text):
    try:
        return [str(problem) for problem in read(text).against(CATEGORIES)]
    except Problems as problems:
        return [str(problem) for problem in problems.problems]


@pytest.mark.parametrize(
    "sentence",
    [
        '"jdoe on 2026-03-01 at clearview-ai: excepted"',
        "jdoe on 2026-03-01 at clearview-ai: excepted",
        "jdoe from 10.20.3.4 on 2026-03-31T23:59:59 at clearview-ai: excepted",
        "jdoe on 2026-04-01 at clearview-ai: unsanctioned",
        "ruiz on 2026-03-01 at clearview-ai: unsanctioned",
        "10.20.3.4 on 2026-03-01 at betaface: sanctioned",
        "Bureau on 2026-03-01 at betaface: sanctioned",
        "ruiz from Annex on 2026-03-01 08:00 at betaface: sanctioned",
        "Detectives on 2026-03-01 at pimeyes: unsanctioned",
        "10.9.0.5 on 2026-03-01 at pimeyes: excluded",
        "jdoe from 10.9.0.5 on 2026-03-01 at clearview-ai: excluded",
        "ruiz on 2026-03-01 at county: sanctioned",
    ],
)
def test_a_policy_s_own_tests_say_what_it_says(sentence):
    """Who approves a policy reads sentences, not address ranges. The quotes that YAML would like may be missing."""
    assert problems_in(GOOD + f"  - {sentence}\n") == []


@pytest.mark.parametrize(
    ("sentence", "what"),
    [
        ("jdoe on 2026-04-01 at clearview-ai: excepted", "says unsanctioned: the exception of case 2026-0117 ended"),
        ("jdoe on 2026-03-01 at clearview-ai: sanctioned", "says excepted"),
        ("10.9.0.5 on 2026-03-01 at clearview-ai: unsanctioned", "says excluded: its address is never recorded"),
        ("jdoe on 2026-03-01 at clearveiw-ai: excepted", "no rule describes the service 'clearveiw-ai'"),
        ("jdoe on 2026-03-01 at clearview-ai: fine", "there is no verdict 'fine'"),
        ("jdoe on 2026-13-01 at clearview-ai: excepted", "is no date"),
        ("jdoe from Bureua on 2026-03-01 at clearview-ai: excepted", "no network or unit 'Bureua'"),
        ("jdoe: excepted", "write a test such as"),
    ],
)
def test_a_test_that_fails_is_told_with_its_line_and_the_reason(sentence, what):
    """`sentinel check` refuses the policy until it or the sentence is mended."""
    (said,) = problems_in(GOOD + f"  - {sentence!r}\n")
    assert said.startswith(f"policy.yaml:{GOOD.count(chr(10)) + 1}: the test")
    assert what in said


def test_all_mistakes_are_told_at_once_each_with_its_line():
    """Wrong parts, and parts that contradict each other, in one round."""
    said = problems_in(
        """\
networks:
  - {name: Bureau, cidr: [10.20.0.1/16]}
  - {name: Annex, cidr: [10.20.7.0/24, "::ffff:10.1.0.0/112"]}
  - {name: Annex, cidr: [10.21.0.0/16]}
  - {name: Lab, cidr: [10.21.0.0/16], unti: x}
sanctioned:
  - {service: betaface, networks: [Anex]}
  - {service: betaface, units: [Nobody]}
exceptions:
  - {service: pimeyes, from: 2026-03-02, until: 2026-03-01, case: 1, legal_basis: x, approved_by: y, person: [a]}
  - {service: pimeyes, from: 2026-03-01, until: soon, case: 1, legal_basis: x, approved_by: y, person: a}
  - {service: pimeyes, from: 2026-03-01, until: 2026-03-01, case: 1, legal_basis: x, approved_by: y}
  - {service: pimeyes, from: 2026-03-01, until: 2026-03-02, case: 2, approved_by: y, person: b}
exclusions:
  - {name: Counsel, cidr: []}
"""
    )
    expected = [
        (2, "has host bits set"), (3, "is IPv4 written as IPv6"), (5, "Did you mean 'unit'?"), (7, "the network 'Anex'"),
        (8, "the unit 'Nobody'"), (10, "ends before it begins"), (11, "no date"), (12, "nobody in particular"),
        (13, "'legal_basis' is missing"), (15, "at least 1 item"),
    ]  # fmt: skip
    for line, what in expected:
        assert any(one.startswith(f"policy.yaml:{line}: ") and what in one for one in said), (line, what, said)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("networks: [{name: A, cidr: [10.0.0.0/8]}, {name: A, cidr: [11.0.0.0/8]}]", 1, "two networks are called 'A'"),
        ("networks: [{name: A, cidr: [10.0.0.0/8]}, {name: B, cidr: [10.0.0.0/8]}]", 1, "belongs to 'A' and to 'B'"),
        ("networks: [{name: A, cidr: [10.0.0.0/8], unit: B}, {name: B, cidr: [11.0.0.0/8]}]", 1, "also the unit"),
        ("sanctioned:\n  - {service: nobodys}", 2, "which no rule describes"),
        (
            GOOD[GOOD.index("exceptions:") : GOOD.index("exclusions:")].replace("clearview-ai", "nobodys"),
            2,
            "which no rule describes",
        ),
        ("exclusion: []", 1, "Did you mean 'exclusions'?"),
        ("[]", 1, "valid dictionary"),
    ],
)
def test_a_mistake_in_the_policy_is_refused_where_it_stands(text, line, what):
    """Each of them would quietly change a verdict."""
    (said,) = problems_in(text + "\n")
    assert said.startswith(f"policy.yaml:{line}: ")
    assert what in said


def test_dates_are_days_of_the_settings_zone():
    """A court order that ends on the 31st ends at the department's midnight, not at Greenwich's."""
    (one,) = read(GOOD + "  []\n", ZoneInfo("America/Los_Angeles")).policy.exceptions
    assert one.during.since.isoformat() == "2026-03-01T08:00:00+00:00"
    assert one.during.until.isoformat() == "2026-04-01T07:00:00+00:00"


@given(st.text(max_size=60))
def test_any_text_is_a_case_or_a_mistake(text):
    """Nothing that a person writes ends in a traceback."""
    try:
        case_of(f"{text} on 2026-03-01 at x: excepted", UTC, frozenset())
        case_of(text, UTC, frozenset())
    except ValueError:
        return
