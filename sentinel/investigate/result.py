"""What an inquiry found, as one value, and the JSON object and CSV table that say it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sentinel.activity.exceptions import Usage
from sentinel.activity.records import Alert, Finding, Session
from sentinel.activity.wording import defang, printable
from sentinel.coverage import Coverage
from sentinel.terms import Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """What a policy came to: the alerts that fired, or would have, and what its exceptions were used for."""

    alerts: Sequence[Alert]
    exceptions: Sequence[Usage]


@dataclass(frozen=True, slots=True)
class Result:
    """One inquiry's answer. `belongs` maps a finding's id to its session's, in the findings' order."""

    ruleset: str
    sessions: Sequence[Session]
    findings: Sequence[Finding]
    belongs: dict[str, str]
    coverage: Sequence[Coverage]
    judged: Judged | None = None  # without a policy there is nothing more to say of it

    @property
    def unsanctioned(self) -> bool:
        """Whether any session was against policy."""
        return any(session.verdict is Verdict.UNSANCTIONED for session in self.sessions)

    @property
    def complete(self) -> bool:
        """Whether there was input, and every one was read to its end and understood."""
        return bool(self.coverage) and all(one.complete and not one.unparsed and one.understood for one in self.coverage)


def stamp(time: datetime | None) -> str | None:
    """Return a time as ISO 8601 in UTC with a Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z") if time else None


def write_json(result: Result, write: Callable[[str], object]) -> None:
    """Write the inquiry as one JSON object, `{"ruleset", "sessions", "findings", "coverage"}`, piece by piece.

    With a policy, "alerts" and "exceptions" come ahead of the coverage.
    """
    by_session: dict[str, list[str]] = {}
    for finding, session in result.belongs.items():
        by_session.setdefault(session, []).append(finding)
    sessions = (session_document(s, by_session.get(s.id, [])) for s in result.sessions)
    write('{"ruleset": ' + _json(result.ruleset))
    parts: list[tuple[str, Iterable[dict[str, Any]]]] = [
        ("sessions", sessions),
        ("findings", map(finding_document, result.findings)),
    ]
    if result.judged:
        parts.append(("alerts", map(alert_document, result.judged.alerts)))
        parts.append(("exceptions", map(usage_document, result.judged.exceptions)))
    for name, documents in parts:
        write(f', "{name}": [')
        for number, document in enumerate(documents):
            write((", " if number else "") + _json(document))
        write("]")
    write(', "coverage": ' + _json(coverage_document(result.coverage)) + "}")


def _json(value: Any) -> str:
    # ASCII: surrogate escapes of bytes that were not UTF-8 have to survive any encoding of stdout.
    return json.dumps(value, ensure_ascii=True)


def session_document(session: Session, findings: Sequence[str]) -> dict[str, Any]:
    """Return a session as the JSON object of `--json`."""
    return {
        "id": session.id,
        "service": session.service,
        "service_name": session.service_name,
        "client": {"ip": session.client, "user": session.user, "device": session.device},
        "users": list(session.users),
        "network": session.network,
        "started": stamp(session.started),
        "ended": stamp(session.ended),
        "stage": session.stage.word,
        "basis": session.basis.value,
        "verdict": session.verdict.value,
        "severity": session.severity.word,
        "reason": session.reason,
        "exception": session.exception,
        "identity": session.identity,
        "searches": searches_document(session),
        "uploads": session.uploads,
        "attempts": session.attempts,
        "findings": list(findings),
        "names": list(session.names),
        "bytes_up": session.bytes_up,
        "bytes_down": session.bytes_down,
    }


def searches_document(session: Session) -> dict[str, int | None]:
    """Return the count of searches. Nothing is estimated yet: what no record proves stays null, never zero."""
    return {"at_least": session.searches, "estimate": None, "low": session.searches, "high": None}


def alert_document(alert: Alert) -> dict[str, Any]:
    """Return an alert that fired, or would have under the policy in force, as a JSON object."""
    session = alert.session
    return {
        "id": alert.id,
        "kind": alert.kind,
        "severity": alert.severity.word,
        "session": session.id if session else None,
        "verdict": session.verdict.value if session else None,
        "text": alert.text,
    }


def usage_document(used: Usage) -> dict[str, Any]:
    """Return what an exception was used for as a JSON object."""
    one = used.exception
    return {
        "case": one.case,
        "service": one.service,
        "people": list(one.people),
        "units": list(one.units),
        "networks": list(one.networks),
        "from": stamp(one.during.since),
        "until": stamp(one.during.until),
        "legal_basis": one.legal_basis,
        "approved_by": one.approved_by,
        "sessions": used.sessions,
        "searches": used.searches,
        "uploads": used.uploads,
        "used_by": sorted(used.people),
        "first": stamp(used.first),
        "last": stamp(used.last),
        "sessions_after_end": used.after,
    }


def finding_document(finding: Finding) -> dict[str, Any]:
    """Return a finding as the JSON object of `--json`."""
    seen = finding.observation
    origin: dict[str, Any] = {"path": finding.origin.path}
    if finding.origin.frame is not None:
        origin["frame"] = finding.origin.frame
    else:
        origin["offset"] = finding.origin.offset
    return {
        "id": finding.id,
        "time": stamp(seen.time),
        "time_text": seen.time_text,
        "kind": seen.kind,
        "service": finding.service,
        "indicator": finding.indicator,
        "stage": finding.stage.word,
        "basis": finding.basis.value,
        "client": {"ip": seen.client, "port": seen.client_port, "user": seen.user, "claimed_user": seen.claimed_user},
        "server": {"ip": seen.server, "port": seen.server_port},
        "name": finding.name,
        "url": seen.url,
        "method": seen.method,
        "status": seen.status,
        "action": seen.action,
        "source": origin,
        "sha256": finding.sha256,
        "parser": finding.parser,
    }


def coverage_document(coverage: Sequence[Coverage]) -> dict[str, Any]:
    """Return what was read, and what could not be, as the JSON object of `--json`."""
    unreadable: Counter[str] = Counter()
    for one in coverage:
        unreadable.update(one.unreadable)
    return {
        "inputs": [input_document(one) for one in coverage],
        "unreadable": {kind: unreadable.get(kind, 0) for kind in ("ech", "doh", "dot", "relay", "vpn", "tor")},
    }


def input_document(one: Coverage) -> dict[str, Any]:
    """Return one input's coverage."""
    return {
        "path": one.path,
        "sha256": one.sha256,
        "format": one.format,
        "detection": one.sure,
        "bytes": one.bytes,
        "records": one.records,
        "parsed": one.parsed,
        "unparsed": one.unparsed,
        "excluded": one.excluded,
        "sampled": one.sampled,
        "first": stamp(one.first),
        "last": stamp(one.last),
        "complete": one.complete,
        "notes": one.notes,
        "unparsed_examples": one.examples,
    }


CSV_COLUMNS = (
    "session", "service", "verdict", "stage", "basis", "severity", "ip", "user", "users", "device", "network", "started",
    "ended",
    "searches_at_least", "uploads", "attempts", "records", "names", "reason",
)  # fmt: skip


def as_csv(result: Result) -> str:
    """Return the sessions as a table. Names are defanged, and no cell begins so that a spreadsheet would compute it."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(CSV_COLUMNS)
    for s in result.sessions:
        row = (
            s.id, s.service, s.verdict.value, s.stage.word, s.basis.value, s.severity.word, s.client, s.user, " ".join(s.users),
            s.device, s.network, stamp(s.started), stamp(s.ended), s.searches, s.uploads, s.attempts, s.findings,
            " ".join(map(defang, s.names)), s.reason,
        )  # fmt: skip
        table.writerow([_inert(cell) for cell in row])
    return out.getvalue()


def _inert(cell: object) -> str:
    text = "" if cell is None else printable(str(cell))
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
