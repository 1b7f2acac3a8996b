"""The outbox: what is due, in which order, and what becomes of it."""

from datetime import timedelta

import pytest

from sentinel.sinks.outcome import Delivered, Outgoing, Rejected, Retry
from sentinel.store.store import Step, Store
from tests.store.made import START, alert, session

LATER = START + timedelta(minutes=5)


@pytest.fixture
def store():
    """A store with two sessions' alerts for one sink: a1, b1, a2."""
    made = Store.memory()
    one, other = session("a"), session("b")
    alerts = [alert("a1", one), alert("b1", other), alert("a2", one, kind="escalated")]
    sinks = {each.id: ["hook", "syslog"] for each in alerts}
    made.commit(Step(sessions=[one, other], alerts=alerts, sinks=sinks))
    yield made
    made.close()


def ids(out):
    return [one.alert.id for one in out]


def test_of_each_session_the_first_alert_is_due(store):
    """Both in one batch could arrive in the other order, when the receiver refuses only the first for now."""
    assert ids(store.due("hook", START, 10)) == ["a1", "b1"]
    assert ids(store.due("hook", START, 1)) == ["a1"]


def test_an_alert_waits_for_the_earlier_one_of_its_session(store):
    """Nobody understands an "escalated" of something that never opened; other sessions go on meanwhile."""
    store.settle("hook", [("a1", Retry("HTTP 503"), LATER), ("b1", Delivered("ok"), None)], START)
    assert store.due("hook", START, 10) == []
    assert store.next_due("hook") == LATER
    assert ids(store.due("hook", LATER, 10)) == ["a1"]
    assert store.due("hook", LATER, 10)[0] == Outgoing(alert("a1", session("a")), 1, START, "HTTP 503")
    store.settle("hook", [("a1", Delivered(), None)], LATER)
    assert ids(store.due("hook", LATER, 10)) == ["a2"]


def test_sinks_do_not_wait_for_each_other(store):
    """One that is down delays nothing elsewhere."""
    store.settle("hook", [("a1", Delivered(), None)], START)
    assert (store.backlog("hook"), store.backlog("syslog"), store.waiting()) == (2, 3, 5)
    assert ids(store.due("syslog", START, 10)) == ["a1", "b1"]


def test_a_rejected_alert_is_a_dead_letter_and_lets_the_next_one_pass(store):
    """In the receiver's words, so that somebody can mend it; one bad document must not hold up its session for ever."""
    store.settle("hook", [("a1", Rejected("HTTP 400: \udcff"), None)], START)
    assert [(one.alert.id, one.attempts, one.answer) for one in store.dead("hook")] == [("a1", 1, "HTTP 400: \udcff")]
    assert ids(store.due("hook", START, 10)) == ["b1", "a2"]


def test_a_dead_letter_can_be_sent_again(store):
    """Once the receiver is mended; what was delivered stays delivered."""
    store.settle("hook", [("a1", Rejected("HTTP 400"), None), ("b1", Delivered(), None)], START)
    assert store.resend(["a1", "b1", "unknown"]) == 1
    assert store.dead("hook") == []
    (again,) = store.due("hook", START, 10)
    assert (again.alert.id, again.attempts) == ("a1", 0)


def test_what_is_settled_is_not_settled_again(store):
    """A late answer of a thread that was given up must not bring a delivered alert back."""
    store.settle("hook", [("a1", Delivered("ok"), None)], START)
    store.settle("hook", [("a1", Retry("too late"), START)], START)
    assert ids(store.due("hook", START, 10)) == ["b1", "a2"]


def test_an_alert_is_due_at_once_even_when_the_clock_was_set_back(store):
    """It is the wait between attempts that is measured, not the alert's age."""
    assert ids(store.due("hook", START - timedelta(days=1), 10)) == ["a1", "b1"]
    assert store.next_due("hook") < START
    assert store.next_due("none such") is None


def test_alerts_without_a_session_wait_for_nothing(store):
    """That a source fell silent has no earlier part."""
    two = [alert("x", kind="source-silent"), alert("y", kind="source-silent")]
    store.commit(Step(alerts=two, sinks={"x": ["other", "other"], "y": ["other"]}))
    assert ids(store.due("other", START, 10)) == ["x", "y"]


def test_merged_sessions_keep_the_order_of_their_alerts(store):
    """They are one session from then on."""
    store.commit(Step(sessions=[session("b")], merged={"a": "b"}))
    assert ids(store.due("hook", START, 10)) == ["a1"]
