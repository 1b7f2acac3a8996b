"""Sessions: which findings belong together, how far they got, and what is told."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.activity.records import Finding, Origin
from sentinel.activity.sessions import ServiceFacts, Sessions, digest
from sentinel.observation import Observation
from sentinel.policy.policy import Policy
from sentinel.terms import Basis, Severity, Stage, Verdict

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVICES = {
    "svc": ServiceFacts("Service", "face-search", Severity.HIGH),
    "own": ServiceFacts("Own", "sanctioned", Severity.INFO),
    "images": ServiceFacts("Images", "reverse-image", Severity.LOW),
    "hiding": ServiceFacts("Hiding", "face-search", Severity.HIGH, secret=frozenset({"url POST x.example/secret"})),
    "gone": ServiceFacts("Gone", "face-search", Severity.HIGH, ended=date(2025, 6, 30)),
}


def finding(
    minute,
    stage=Stage.LOOKUP,
    *,
    client="10.0.0.1",
    service="svc",
    reached=True,
    basis=Basis.OBSERVED,
    indicator="domain x.example",
    **seen,
):
    observation = Observation(time=START + timedelta(minutes=minute), kind="dns_query", client=client, name="x.example", **seen)
    return Finding(
        id=digest(str(minute), stage.word, client or "", service),
        observation=observation,
        service=service,
        category=SERVICES[service].category,
        indicator=indicator,
        stage=stage,
        basis=basis,
        name="x.example",
        origin=Origin(path="log", offset=0),
        raw=b"",
        sha256="",
        parser="test/1",
        ruleset="",
        arrived=START,
        reached=reached,
    )


def fold(*findings, sessions=None):
    sessions = sessions or Sessions(SERVICES, Policy(), forget=False)
    return sessions, sessions.fold([(f, f.stage is Stage.SEARCH, f.stage is Stage.UPLOAD) for f in findings], START)


def known(sessions):
    return sorted((s for held in sessions._known.values() for s in held), key=lambda s: s.started)


def test_findings_within_the_gap_are_one_session_and_later_ones_another():
    """An episode is what the analyst gets one alert for."""
    sessions, changes = fold(finding(0), finding(29), finding(58), finding(89))
    assert [s.findings for s in known(sessions)] == [3, 1]
    assert [a.kind for a in changes.alerts] == ["opened", "opened"]


def test_clients_and_services_are_never_mixed():
    """One person's search must not appear in another's session."""
    sessions, _ = fold(finding(0), finding(0, client="10.0.0.2"), finding(0, service="own"))
    assert len(known(sessions)) == 3


def test_a_batch_that_climbs_the_ladder_is_one_alert_of_the_highest_stage():
    """Query, handshake and request arrive together; three messages about one click are noise."""
    _, changes = fold(finding(0), finding(0.01, Stage.CONTACT), finding(0.02, Stage.SEARCH))
    (alert,) = changes.alerts
    assert (alert.kind, alert.session.stage, alert.session.searches) == ("opened", Stage.SEARCH, 1)


def test_a_session_that_rises_later_is_escalated_once_for_each_stage():
    """The analyst is told when a look-up turns into a search, and not again for the second search."""
    sessions, _ = fold(finding(0))
    _, second = fold(finding(1, Stage.SEARCH), sessions=sessions)
    _, third = fold(finding(2, Stage.SEARCH), sessions=sessions)
    assert [a.kind for a in second.alerts] == ["escalated"]
    assert third.alerts == []


def test_observed_outranks_inferred_at_the_same_stage_only():
    """What a record says is better known than what a host name suggests, but a higher stage stays higher."""
    sessions, _ = fold(
        finding(0, Stage.LOGIN, basis=Basis.INFERRED), finding(1, Stage.LOGIN), finding(2, Stage.UPLOAD, basis=Basis.INFERRED)
    )
    (session,) = known(sessions)
    assert (session.stage, session.basis) == (Stage.UPLOAD, Basis.INFERRED)


def test_a_lookup_is_never_more_than_low():
    """Browsers look names up for links that nobody opens."""
    _, changes = fold(finding(0))
    assert changes.alerts[0].severity is Severity.LOW
    assert "looked up" in changes.alerts[0].text


def test_refused_accesses_are_attempts_and_said_to_be():
    """A blocked access reached nothing; it must not read as a visit."""
    sessions, changes = fold(finding(0, reached=False))
    assert known(sessions)[0].attempts == 1
    assert "was refused access" in changes.alerts[0].text


def test_sanctioned_use_is_kept_and_tells_nobody():
    """The county's system is there to be used: it is kept as carefully, and nobody is bothered with it."""
    sessions, changes = fold(finding(0, Stage.SEARCH, service="own"))
    (session,) = known(sessions)
    assert (session.verdict, session.severity, session.searches) == (Verdict.SANCTIONED, Severity.INFO, 1)
    assert changes.alerts == []
    assert sessions.close(START + timedelta(hours=2), START).alerts == []


def test_an_image_search_is_called_one_and_no_face_search():
    """Nothing tells whether a face was in the image."""
    _, changes = fold(finding(1, Stage.UPLOAD, service="images"), finding(2, Stage.SEARCH, service="images"))
    (alert,) = changes.alerts
    assert (alert.kind, alert.severity) == ("opened", Severity.LOW)
    assert "ran an image search on Images" in alert.text
    assert "face" not in alert.text


SECRET = "url POST x.example/secret"


def test_a_search_that_leaves_no_history_is_the_gravest_and_is_told_even_after_another_search():
    """Whoever chooses that mode hides the search from the vendor's own log, and so from every later inquiry there."""
    sessions, first = fold(finding(0, Stage.SEARCH, service="hiding", indicator="url POST x.example/search"))
    assert [alert.severity for alert in first.alerts] == [Severity.HIGH]
    _, second = fold(finding(1, Stage.SEARCH, service="hiding", indicator=SECRET), sessions=sessions)
    _, third = fold(finding(2, Stage.SEARCH, service="hiding", indicator=SECRET), sessions=sessions)
    assert [(alert.kind, alert.severity) for alert in second.alerts] == [("escalated", Severity.CRITICAL)]
    assert "leaves no history" in second.alerts[0].text
    assert third.alerts == []
    (session,) = known(sessions)
    assert (session.searches, session.secret_searches) == (3, 2)
    assert "2 in a mode that leaves no history" in session.reason
    assert second.alerts[0].id != first.alerts[0].id


@pytest.mark.parametrize("stage", [Stage.LOOKUP, Stage.VISIT])
def test_a_hidden_search_that_was_refused_is_none(stage):
    """A blocked or failed request hid nothing: it is an attempt or a visit like any other."""
    sessions, _ = fold(finding(0, stage, service="hiding", indicator=SECRET))
    (session,) = known(sessions)
    assert (session.secret_searches, session.severity <= Severity.MEDIUM) == (0, True)


def test_a_service_that_had_ended_is_worth_little_and_the_reason_says_why():
    """A dead service's name lapses and may be bought by anybody; in the years before, it was what it was."""
    sessions, _ = fold(finding(0, Stage.SEARCH, service="gone"))
    before = finding(0, Stage.SEARCH, service="gone", client="10.0.0.2")
    old = replace(before, observation=replace(before.observation, time=START - timedelta(days=400)))
    fold(old, sessions=sessions)
    late, early = sorted(known(sessions), key=lambda s: s.client)
    assert (late.severity, "somebody else's by then" in late.reason) == (Severity.LOW, True)
    assert (early.severity, "somebody else's" in early.reason) == (Severity.HIGH, False)


def test_a_session_closes_by_event_time_and_says_so_once():
    """A closed alert sums up; replaying old logs must not depend on today's clock."""
    sessions, _ = fold(finding(0))
    assert sessions.close(START + timedelta(minutes=30), START).alerts == []
    closed = sessions.close(START + timedelta(minutes=31), START)
    assert [a.kind for a in closed.alerts] == ["closed"]
    assert sessions.close(START + timedelta(minutes=99), START).alerts == []


def test_a_late_finding_joins_the_closed_session_it_belongs_to():
    """A proxy logs a tunnel when it ends, hours late: that is no second visit."""
    sessions, _ = fold(finding(0))
    sessions.close(START + timedelta(hours=2), START)
    _, late = fold(finding(10), sessions=sessions)
    assert [s.findings for s in known(sessions)] == [2]
    assert late.alerts == []
    assert [a.kind for a in sessions.close(START + timedelta(hours=2), START).alerts] == ["closed"]


def test_alert_ids_depend_on_nothing_but_what_they_tell():
    """The same alert made again after a crash is recognised by its receiver, and fits into CEF's externalId."""
    ids = [fold(finding(0))[1].alerts[0].id for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(ids[0]) <= 40


def test_two_users_at_one_address_are_neither_of_them():
    """A shared terminal or a NAT: naming the first one would accuse the wrong person."""
    sessions, _ = fold(finding(0, user="alice"), finding(1, Stage.SEARCH, user="bob"))
    (session,) = known(sessions)
    assert (session.user, session.users) == (None, ("alice", "bob"))
    assert "cannot be told whose" in session.reason


@pytest.mark.parametrize("user", ["eve\x1b[2J", "=cmd()"])
def test_control_characters_are_made_visible_in_what_people_read(user):
    """A user name is the client's to choose; it must not steer a terminal."""
    _, changes = fold(finding(0, user=user))
    assert "\x1b" not in changes.alerts[0].text
    assert "x[.]example" in changes.alerts[0].text


@given(
    minutes=st.lists(st.integers(0, 600), min_size=1, max_size=25, unique=True),
    seed=st.integers(0, 1000),
    cut=st.integers(1, 10),
)
def test_sessions_do_not_depend_on_the_order_of_reading(minutes, seed, cut):
    """A folder of archives is read in any order, and in batches cut anywhere; the answer is one."""
    stages = list(Stage)
    findings = [finding(m, stages[m % 7]) for m in minutes]
    straight, _ = fold(*sorted(findings, key=lambda f: f.observation.time))
    mixed = Sessions(SERVICES, Policy(), forget=False)
    random.Random(seed).shuffle(findings)
    belongs = {}
    merged = {}
    for at in range(0, len(findings), cut):
        _, changes = fold(*findings[at : at + cut], sessions=mixed)
        belongs |= changes.belongs
        merged |= changes.merged
    assert [replace(s, id="") for s in known(mixed)] == [replace(s, id="") for s in known(straight)]
    ids = {s.id for s in known(mixed)}
    for session in belongs.values():
        while session in merged:
            session = merged[session]
        assert session in ids
