"""Records for the store's tests, each made from a number."""

import hashlib
from datetime import UTC, datetime, timedelta

from sentinel.activity.records import Alert, Finding, Origin, Session
from sentinel.observation import Observation
from sentinel.store.store import Step
from sentinel.terms import Basis, Severity, Stage, Verdict

START = datetime(2024, 5, 1, 12, tzinfo=UTC)


def finding(number: int) -> Finding:
    """Return the finding *number*, one second after the one before it."""
    raw = b"line %d \xff\x00" % number
    time = START + timedelta(seconds=number)
    return Finding(
        id=f"fi_{number}",
        observation=Observation(time=time, kind="dns_query", client="192.0.2.7", name="pimeyes.com"),
        service="pimeyes", category="face-search", indicator="domain pimeyes.com", stage=Stage.LOOKUP, basis=Basis.OBSERVED,
        name="pimeyes.com", origin=Origin(path="/var/log/query-\udcff.log", offset=number * 10), raw=raw,
        sha256=hashlib.sha256(raw).hexdigest(), parser="bind9/1", ruleset="0" * 64, arrived=time,
    )  # fmt: skip


def session(name: str, *, end: int = 0, **changed) -> Session:
    """Return the session *name*, which ends *end* seconds after `START`."""
    made = {
        "id": name, "service": "pimeyes", "service_name": "PimEyes", "category": "face-search", "client": "192.0.2.7",
        "user": None, "device": None, "network": "office",
        "started": START, "ended": START + timedelta(seconds=end), "stage": Stage.LOOKUP,
        "basis": Basis.OBSERVED, "severity": Severity.LOW, "verdict": Verdict.UNSANCTIONED, "reason": "no rule allows it",
    }  # fmt: skip
    return Session(**(made | changed))


def alert(name: str, of: Session | None = None, *, kind="opened") -> Alert:
    """Return the alert *name* of a session."""
    return Alert(id=name, kind=kind, created=START, severity=Severity.LOW, session=of, text=f"alert {name}")


def step(number: int) -> Step:
    """Return a step that holds one of everything; step *n* leaves n findings, n alerts for two sinks and the position n."""
    one = session("s", end=number, findings=number)
    told = alert(f"al_{number}", one)
    return Step(
        findings=[(finding(number), "s")],
        sessions=[one],
        alerts=[told],
        sinks={told.id: ["hook", "syslog"]},
        positions={"log": {"offset": number}},
    )
