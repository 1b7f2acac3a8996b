"""Alerts for the tests of schemas and sinks: a plain one, and hostile ones from hypothesis."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from sentinel.activity.records import Alert, Session
from sentinel.terms import Basis, Severity, Stage, Verdict

START = datetime(2026, 11, 23, 5, 0, 0, 123456, tzinfo=UTC)


def session(**changed) -> Session:
    """Return a session in which alice ran a search."""
    made = {
        "id": "se_" + "5" * 32, "service": "clearview-ai", "service_name": "Clearview AI", "category": "face-search",
        "client": "192.0.2.7", "user": "alice", "device": "h1.corp.example", "network": "Detective Bureau",
        "started": START, "ended": START + timedelta(seconds=10), "stage": Stage.SEARCH, "basis": Basis.OBSERVED,
        "severity": Severity.HIGH, "verdict": Verdict.UNSANCTIONED, "reason": "POST to the search API",
        "searches": 3, "uploads": 1, "findings": 7, "names": ("app.clearview.ai",), "users": ("alice",),
        "bytes_up": 30000, "bytes_down": 0,
    }  # fmt: skip
    return Session(**(made | changed))


def alert(of: Session | None = None, **changed) -> Alert:
    """Return the alert that says that the session *of* opened."""
    made = {
        "id": "al_" + "a" * 32, "kind": "opened", "created": START + timedelta(seconds=11), "severity": Severity.HIGH,
        "session": of or session(), "text": "alice ran a face search on Clearview AI (app.clearview[.]ai): unsanctioned, high",
        "url": "https://app.clearview.ai/search?a=b", "method": "POST", "server": "203.0.113.9", "server_port": 443,
        "client_port": 51515,
    }  # fmt: skip
    return Alert(**(made | changed))


# Lone surrogates are what "surrogateescape" makes of bytes that are no UTF-8.
HOSTILE = st.text(st.sampled_from("a b\\|=]\"'\n\r\t\0\x1b\x7f\x85\u2028\u202eü😀\udcff<>{}.,:") | st.characters(), max_size=60)
MAYBE = st.none() | HOSTILE

sessions = st.builds(
    session,
    service_name=HOSTILE, client=st.none() | st.ip_addresses().map(str), user=MAYBE, device=MAYBE, network=MAYBE,
    reason=HOSTILE, names=st.lists(HOSTILE, max_size=4).map(tuple), users=st.lists(HOSTILE, max_size=3).map(tuple),
    stage=st.sampled_from(Stage), severity=st.sampled_from(Severity),
)  # fmt: skip

alerts = st.builds(
    alert,
    of=sessions, kind=st.sampled_from(["opened", "escalated", "closed", "revised"]), severity=st.sampled_from(Severity),
    text=HOSTILE,
    url=MAYBE | st.just("http://["), method=MAYBE, server=st.none() | st.ip_addresses().map(str),
    extra=st.dictionaries(HOSTILE, HOSTILE, max_size=2),
) | st.builds(
    Alert,
    id=st.just("al_silent"),
    kind=st.sampled_from(["source-silent", "coverage-gap", "sink-backlog", "sink-test", "exception-ended"]),
    created=st.just(START), severity=st.sampled_from(Severity), session=st.none(), text=HOSTILE,
    extra=st.dictionaries(HOSTILE, HOSTILE, max_size=2),
)  # fmt: skip
