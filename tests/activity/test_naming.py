"""Sessions and who had the address: what is named, what is not, and how later records revise it."""

from datetime import UTC, datetime, timedelta

import pytest

from sentinel.activity.exceptions import ended_alert, usage, usage_text
from sentinel.activity.records import Finding, Origin
from sentinel.activity.sessions import ServiceFacts, Sessions, digest
from sentinel.identity.binding import Binding
from sentinel.identity.directory import Directory
from sentinel.observation import Observation
from sentinel.policy.policy import During, Excepted, Policy
from sentinel.terms import Basis, Severity, Stage, Verdict

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SERVICES = {"svc": ServiceFacts("Service", "face-search", Severity.HIGH)}
EXCEPTION = Excepted(
    "svc", ["ebert"], (), (), During(START - HOUR, START + HOUR), "12/26", "court order", "Chief Adams"
)  # fmt: skip
POLICY = Policy(exceptions=[EXCEPTION])


def finding(minute=0, *, client="10.0.0.1", frame=None, stage=Stage.SEARCH, kind="http_request", **seen):
    observation = Observation(time=START + timedelta(minutes=minute), kind=kind, client=client, name="x.example", **seen)
    origin = Origin(path="log", offset=None if frame else 0, frame=frame)
    return Finding(
        id=digest(str(minute), client, kind), observation=observation, service="svc", category="face-search",
        indicator="domain x.example", stage=stage, basis=Basis.OBSERVED, name="x.example", origin=origin, raw=b"",
        sha256="", parser="test/1", ruleset="", arrived=START,
    )  # fmt: skip


def lease(user, since=-2, until=2, address="10.0.0.1", device=None):
    return Binding(address, None, device, user, START + since * HOUR, START + until * HOUR, "table", "t.csv", "record")


def folded(*findings, directory=None, policy=POLICY, sessions=None):
    sessions = sessions or Sessions(SERVICES, policy, forget=False, directory=directory)
    return sessions, sessions.fold([(one, True, False) for one in findings], START)


def test_a_session_is_judged_by_the_person_who_had_the_address():
    """The log names nobody; the lease does, and the exception is for that person."""
    sessions, changes = folded(finding(), directory=Directory([lease("ebert", device="pc-1")]))
    (session,) = sessions.all()
    assert (session.user, session.device, session.verdict) == ("ebert", "pc-1", Verdict.EXCEPTED)
    assert session.exception == EXCEPTION.key
    assert "t.csv" in session.identity
    assert "ebert" in changes.alerts[0].text


def test_whom_the_records_name_is_not_replaced():
    """A proxy's log-in is nearer to the act than a lease."""
    sessions, _ = folded(finding(user="ruiz"), directory=Directory([lease("ebert")]))
    (session,) = sessions.all()
    assert (session.user, session.verdict) == ("ruiz", Verdict.UNSANCTIONED)


def test_a_device_that_was_named_by_a_lease_goes_when_the_lease_no_longer_says_it():
    """What was concluded is not taken for what a record said when the session grows."""
    sessions, _ = folded(finding(), directory=Directory([lease("ebert", -2, 0.25, device="pc-1")]))
    folded(finding(20), sessions=sessions)
    (session,) = sessions.all()
    assert (session.user, session.device) == (None, None)
    assert session.identity.startswith("cannot say")


def test_later_records_revise_a_session_and_tell_of_it_once():
    """A lease that arrived late contradicts; the revision has a number, a reason and an alert."""
    sessions, _ = folded(finding(), directory=Directory([lease("ebert")]))
    later = Directory([lease("ebert"), lease("ruiz")])
    changes = sessions.know(later, START)
    (session,) = changes.sessions.values()
    assert (session.user, session.verdict, session.revision) == (None, Verdict.UNSANCTIONED, 1)
    (alert,) = changes.alerts
    assert (alert.kind, alert.session) == ("revised", session)
    assert "names nobody instead of ebert (cannot say: several claims" in alert.text
    assert sessions.know(later, START).sessions == {}, "nothing changes when nothing is new"


def test_a_lease_of_today_does_not_relabel_yesterday_s_session():
    """History stays as it was."""
    sessions, _ = folded(finding(), directory=Directory([lease("ebert")]))
    assert sessions.know(Directory([lease("ebert"), lease("ruiz", 20, 30)]), START).sessions == {}


@pytest.mark.parametrize(
    ("shows", "what"),
    [
        (finding(1, client="10.0.0.9", server="10.0.0.1", kind="dns_answer", frame=5), "a resolver"),
        (finding(1, client="10.0.0.9", server="10.0.0.1", kind="dns_query"), "a resolver"),
        (finding(1, client="10.0.0.9", server="10.0.0.1", kind="proxy_connect", frame=5), "a proxy"),
        (finding(1, client="10.0.0.9", server="10.0.0.1", kind="dns_query", frame=5), None),
        (finding(1, client="10.0.0.9", server="10.0.0.1", kind="proxy_connect"), None),
    ],
)
def test_who_answers_others_is_no_person(shows, what):
    """A resolver or proxy repeats others' names from its own address. A mere question to somebody makes nobody a resolver."""
    sessions, _ = folded(shows, finding(2), directory=Directory([lease("ebert")]))
    (session,) = (one for one in sessions.all() if one.client == "10.0.0.1")
    assert session.user == (None if what else "ebert")
    assert (what or "t.csv") in session.identity


def test_what_an_exception_was_used_for_is_told_with_what_came_after():
    """Oversight hears what was done under the exception, and whether it went on."""
    sessions, _ = folded(finding(0, user="ebert"), finding(200, user="ebert"), finding(300, user="ruiz", client="10.0.0.2"))
    (used,) = usage(POLICY, sessions.all())
    assert (used.sessions, used.searches, used.people, used.after) == (1, 1, {"ebert"}, 1)
    alert = ended_alert(used, START)
    assert alert.text == usage_text(used)
    assert "1 session by ebert, at least 1 search, first 2026-03-01, last 2026-03-01; 1 session after its end" in alert.text
    assert alert.severity is Severity.MEDIUM
    assert alert.id == ended_alert(used, START + HOUR).id, "once, also over restarts"
    (unused,) = usage(POLICY, [])
    assert "no use was seen" in usage_text(unused)
