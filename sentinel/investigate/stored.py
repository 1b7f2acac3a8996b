"""What a store holds, as an inquiry's result."""

from __future__ import annotations

from sentinel.investigate.result import Result
from sentinel.store.store import Store


def result_of(store: Store) -> Result:
    """Return everything that *store* holds: sessions by start, findings by time."""
    findings, belongs = sorted(store.findings(), key=lambda f: (f.observation.time, f.id)), store.belongs()
    return Result(
        ruleset=", ".join(store.rulesets()),
        sessions=sorted(store.sessions(), key=lambda s: (s.started, s.service, s.id)),
        findings=findings,
        belongs={finding.id: belongs[finding.id] for finding in findings},
        coverage=store.inputs(),
    )
