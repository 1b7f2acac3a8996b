"""An alert as a Detection Finding of the Open Cybersecurity Schema Framework 1.8.0.

The session is the finding (`finding_info.uid`), and each alert on it one event: 1 Create, 2 Update, 3 Close. OCSF takes no
field that it does not know; what is ours is under `unmapped`. Times are milliseconds since 1970, UTC.
Reference: https://schema.ocsf.io/1.8.0/classes/detection_finding
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sentinel.activity.records import Alert, Session
from sentinel.schemas.ecs import host_of_session
from sentinel.schemas.text import PRODUCT, TITLES, VENDOR, VERSION, one_sentence, present, reason, refused, tidy
from sentinel.terms import Basis, Severity, Stage

OCSF_VERSION = "1.8.0"
CLASS, CATEGORY = 2004, 2

ACTIVITIES = {"opened": 1, "escalated": 2, "revised": 2, "closed": 3}
"""`activity_id` by the alert's kind: Create, Update, Close; all other alerts are findings of their own."""

STATUSES = {1: (1, "New"), 2: (2, "In Progress"), 3: (4, "Resolved")}
"""`status_id` and `status` by the activity."""

SEVERITIES = {
    Severity.INFO: (1, "Informational"),
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}

HOSTNAME, ADDRESS, USER_NAME, URL = 1, 2, 4, 6
"""`observables[].type_id`."""

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Methods that `http_method` takes."""

EPOCH = datetime.fromtimestamp(0, UTC)


def ocsf(alert: Alert, sensor: str) -> bytes:
    """Return *alert* as one line of JSON without its end; *sensor* is the name of the machine that raised it."""
    activity = ACTIVITIES.get(alert.kind, 1)
    severity, word = SEVERITIES[alert.severity]
    status, status_word = STATUSES[activity]
    document: dict[str, Any] = {
        "class_uid": CLASS,
        "category_uid": CATEGORY,
        "activity_id": activity,
        "type_uid": CLASS * 100 + activity,
        "time": _millis(alert.created),
        "severity_id": severity,
        "severity": word,
        "status_id": status,
        "status": status_word,
        "is_alert": alert.session is not None,
        "message": one_sentence(alert),
        "metadata": {
            "version": OCSF_VERSION,
            "uid": alert.id,
            "log_name": "sentinel-alerts",
            "profiles": ["host", "security_control"],
            "product": {"name": PRODUCT, "vendor_name": VENDOR, "version": VERSION},
        },
        "device": {"type_id": 99, "type": "Sensor", "hostname": sensor},
        "finding_info": {
            "uid": alert.id,
            "title": TITLES[alert.kind],
            "types": [alert.kind],
            "created_time": _millis(alert.created),
        },
        "unmapped": {"sentinel": {"kind": alert.kind, "extra": dict(alert.extra)}},
    }
    if alert.session:
        for name, fields in _session(alert, alert.session).items():
            before = document.get(name)
            document[name] = {**before, **fields} if isinstance(before, dict) else fields
    return json.dumps(tidy(present(document)), ensure_ascii=False, separators=(",", ":")).encode()


def _session(alert: Alert, session: Session) -> dict[str, Any]:
    evidence = _evidence(alert, session)
    denied = refused(session)
    return {
        "count": max(1, session.findings),
        "start_time": _millis(session.started),
        "end_time": _millis(session.ended),
        "confidence_id": _confidence(session),
        "action_id": 2 if denied else 1,
        "disposition_id": 2 if denied else 15,  # Blocked, or Detected
        "status_detail": reason(alert),
        "finding_info": {
            "uid": session.id,
            "types": [session.category],
            "first_seen_time": _millis(session.started),
            "last_seen_time": _millis(session.ended),
            "analytic": {"uid": session.service, "name": session.service_name, "type_id": 1, "type": "Rule"},
        },
        "evidences": [evidence] if evidence else None,
        "observables": _observables(alert, session),
        "unmapped": {
            "sentinel": {
                "kind": alert.kind, "service": session.service, "stage": session.stage.word, "basis": session.basis.value,
                "verdict": session.verdict.value, "network": session.network, "searches": session.searches,
                "uploads": session.uploads, "attempts": session.attempts, "names": list(session.names),
                "users": list(session.users), "extra": dict(alert.extra),
            }
        },
    }  # fmt: skip


def _evidence(alert: Alert, session: Session) -> dict[str, Any]:
    host = host_of_session(alert)
    looked_up = host if session.stage is Stage.LOOKUP and not session.attempts else None
    return present(
        {
            "src_endpoint": _endpoint(session.client, session.device, alert.client_port),
            "dst_endpoint": _endpoint(alert.server, host, alert.server_port),
            "actor": {"user": {"name": session.user}},
            "query": {"hostname": looked_up},
            "url": {"url_string": alert.url},
            "http_request": {"http_method": alert.method if alert.method in METHODS else None},
        }
    )


def _endpoint(ip: str | None, hostname: str | None, port: int | None) -> dict[str, Any] | None:
    """Return an endpoint; None when neither address nor name is known, since OCSF takes none with a port alone."""
    return {"ip": ip, "hostname": hostname, "port": port} if ip or hostname else None


def _observables(alert: Alert, session: Session) -> list[dict[str, Any]]:
    host = host_of_session(alert)
    seen = [
        ("evidences[0].src_endpoint.ip", ADDRESS, session.client),
        ("evidences[0].src_endpoint.hostname", HOSTNAME, session.device),
        ("evidences[0].actor.user.name", USER_NAME, session.user),
        ("evidences[0].dst_endpoint.hostname", HOSTNAME, host),
        ("evidences[0].dst_endpoint.ip", ADDRESS, alert.server),
        ("evidences[0].url.url_string", URL, alert.url),
    ]
    return [{"name": name, "type_id": kind, "value": value} for name, kind, value in seen if value]


def _confidence(session: Session) -> int:
    """Return 3 (high) for what a record says, 2 for what was inferred, 1 for a look-up, which browsers make by themselves."""
    if session.stage is Stage.LOOKUP:
        return 1
    return 3 if session.basis is Basis.OBSERVED else 2


def _millis(time: datetime) -> int:
    return (time - EPOCH) // timedelta(milliseconds=1)
