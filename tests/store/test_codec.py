"""Records as JSON: what is written comes back as it was."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.activity.records import Alert, Finding, Origin, Session
from sentinel.coverage import Coverage
from sentinel.observation import Observation
from sentinel.store.codec import dumps, loads, stamp, unstamp
from sentinel.terms import Basis, Severity, Stage, Verdict

# Surrogates too: text that was not UTF-8 carries them.
TEXT = st.text(st.characters(), max_size=20)
MAYBE = st.none() | TEXT
COUNT = st.none() | st.integers(0, 2**63)
TIMES = st.datetimes(timezones=st.just(UTC))
NAMES = st.lists(TEXT, max_size=3).map(tuple)

OBSERVATIONS = st.builds(
    Observation,
    time=TIMES,
    kind=st.sampled_from(["dns_query", "http_request"]),
    client=MAYBE,
    user=MAYBE,
    device=MAYBE,
    name=st.sampled_from(["a..", "b.example", "é.example"]) | MAYBE,
    names=NAMES,
    answers=NAMES,
    url=MAYBE,
    status=COUNT,
    bytes_up=COUNT,
    duration=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    action=st.sampled_from([None, "allowed", "blocked"]),
    ech=st.booleans(),
    alpn=NAMES,
)
ORIGINS = st.builds(Origin, path=TEXT, offset=COUNT, frame=COUNT)
FINDINGS = st.builds(
    Finding,
    id=TEXT,
    observation=OBSERVATIONS,
    service=TEXT,
    category=TEXT,
    indicator=TEXT,
    stage=st.sampled_from(Stage),
    basis=st.sampled_from(Basis),
    name=TEXT,
    origin=ORIGINS,
    raw=st.binary(max_size=40),
    sha256=TEXT,
    parser=TEXT,
    ruleset=TEXT,
    arrived=TIMES,
    reached=st.booleans(),
)
SESSIONS = st.builds(
    Session,
    id=TEXT,
    service=TEXT,
    service_name=TEXT,
    category=TEXT,
    client=MAYBE,
    user=MAYBE,
    device=MAYBE,
    network=MAYBE,
    started=TIMES,
    ended=TIMES,
    stage=st.sampled_from(Stage),
    basis=st.sampled_from(Basis),
    severity=st.sampled_from(Severity),
    verdict=st.sampled_from(Verdict),
    reason=TEXT,
    searches=st.integers(0, 9),
    names=NAMES,
    users=NAMES,
    bytes_up=COUNT,
    open=st.booleans(),
    revision=st.integers(0, 9),
)
ALERTS = st.builds(
    Alert,
    id=TEXT,
    kind=st.sampled_from(["opened", "source-silent"]),
    created=TIMES,
    severity=st.sampled_from(Severity),
    session=st.none() | SESSIONS,
    text=TEXT,
    url=MAYBE,
    server_port=COUNT,
    extra=st.dictionaries(TEXT, TEXT, max_size=3),
)
ACCOUNTS = st.builds(
    Coverage,
    path=TEXT,
    format=MAYBE,
    bytes=st.integers(0, 2**60),
    first=st.none() | TIMES,
    complete=st.booleans(),
    notes=st.lists(TEXT, max_size=3),
    unreadable=st.dictionaries(TEXT, st.integers(0, 9), max_size=3),
)


@given(FINDINGS)
def test_a_finding_comes_back_with_its_raw_bytes(finding):
    """Evidence that changes when it is read again is none."""
    assert loads(Finding, dumps(finding), raw=finding.raw) == finding


@given(OBSERVATIONS | SESSIONS | ALERTS | ACCOUNTS)
def test_what_is_written_comes_back_as_it_was(record):
    """Alerts are sent from what was kept, and sessions go on from it after a crash."""
    again = loads(type(record), dumps(record))
    assert again == record
    assert dumps(again) == dumps(record)


@given(FINDINGS)
def test_a_record_is_written_in_ascii(finding):
    """No database refuses it, whatever bytes a stranger put into a name."""
    dumps(finding).encode("ascii")


def test_words_and_times_are_written_for_people():
    """Numbers of an enum may change; its words are what rules and reports use."""
    session = Session(
        id="s", service="pimeyes", service_name="PimEyes", category="face-search", client="192.0.2.7", user=None, device=None,
        network=None, started=datetime(2024, 5, 1, 12, tzinfo=UTC), ended=datetime(2024, 5, 1, 13, tzinfo=UTC),
        stage=Stage.UPLOAD, basis=Basis.INFERRED, severity=Severity.HIGH, verdict=Verdict.EXCEPTED, reason="",
    )  # fmt: skip
    text = dumps(session)
    for part in ('"stage":"upload"', '"severity":"high"', '"basis":"inferred"', '"started":"2024-05-01T12:00:00.000000Z"'):
        assert part in text
    assert '"user"' not in text


@given(TIMES, TIMES)
def test_stamps_sort_as_the_times_do(one, other):
    """The database compares them as text."""
    assert (stamp(one) < stamp(other)) == (one < other)
    assert unstamp(stamp(one)) == one


def test_a_time_without_a_zone_is_refused():
    """Written as it stands it would be read as UTC, and be hours off."""
    with pytest.raises(ValueError, match="zone"):
        stamp(datetime(2024, 5, 1))  # noqa: DTZ001
