"""An alert as a row of Microsoft's Advanced Security Information Model, schema AlertEvent 0.1.

https://learn.microsoft.com/azure/sentinel/normalization-schema-alert. The model has no fields for source and destination of a
connection, and no severity above High; those are in `AdditionalFields`. Microsoft cuts a field at 64 KB without telling.
"""

from __future__ import annotations

import json
from typing import Any

from sentinel.activity.records import Alert, Session
from sentinel.observation import ip_address
from sentinel.schemas.ecs import host_of_session
from sentinel.schemas.text import PRODUCT, TITLES, TYPES, VENDOR, VERSION, one_sentence, present, reason, stamp, tidy
from sentinel.terms import Severity, Verdict

SEVERITIES = {
    Severity.INFO: "Informational",
    Severity.LOW: "Low",
    Severity.MEDIUM: "Medium",
    Severity.HIGH: "High",
    Severity.CRITICAL: "High",
}

RISK = {Severity.INFO: 10, Severity.LOW: 21, Severity.MEDIUM: 47, Severity.HIGH: 73, Severity.CRITICAL: 99}
"""`ThreatRiskLevel`, 0 to 100; the same numbers as ECS gets."""


def asim(alert: Alert, sensor: str) -> bytes:
    """Return *alert* as one line of JSON without its end; *sensor* is the name of the machine that raised it."""
    began, ended = (alert.session.started, alert.session.ended) if alert.session else (alert.created, alert.created)
    document: dict[str, Any] = {
        "TimeGenerated": stamp(alert.created),
        "EventCount": max(1, alert.session.findings) if alert.session else 1,
        "EventStartTime": stamp(began),
        "EventEndTime": stamp(ended),
        "EventType": "Alert",
        "EventSubType": "Compliance Violation" if alert.session else "Anomaly",
        "EventUid": alert.id,
        "EventProduct": PRODUCT,
        "EventProductVersion": VERSION,
        "EventVendor": VENDOR,
        "EventSchema": "AlertEvent",
        "EventSchemaVersion": "0.1",
        "EventSeverity": SEVERITIES[alert.severity],
        "EventOriginalType": TYPES[alert.kind],
        "EventOriginalSeverity": alert.severity.word,
        "EventMessage": one_sentence(alert),
        "AlertName": TITLES[alert.kind],
        "AlertStatus": "Closed" if alert.kind == "closed" else "Active",
        "ThreatRiskLevel": RISK[alert.severity],
        "Url": alert.url,
        "AdditionalFields": {
            "sensor": sensor, "method": alert.method, "server": alert.server, "server_port": alert.server_port,
            "client_port": alert.client_port, "extra": dict(alert.extra),
            **(_additional(alert, alert.session) if alert.session else {}),
        },
        **(_session(alert.session) if alert.session else {"DvcHostname": sensor}),
    }  # fmt: skip
    return json.dumps(tidy(present(document)), ensure_ascii=False, separators=(",", ":")).encode()


def _session(session: Session) -> dict[str, Any]:
    return {
        "RuleName": session.service,
        "ThreatName": session.service_name,
        "ThreatCategory": "Security Policy Violation" if session.verdict is Verdict.UNSANCTIONED else None,
        "DvcHostname": session.device,
        "DvcIpAddr": ip_address(session.client),
        "Username": session.user or None,
        "UsernameType": "Simple" if session.user else None,  # Microsoft requires it together with the name
        "IndicatorType": "Host",
    }


def _additional(alert: Alert, session: Session) -> dict[str, Any]:
    return {
        "session": session.id, "category": session.category, "stage": session.stage.word, "basis": session.basis.value,
        "verdict": session.verdict.value, "reason": reason(alert), "network": session.network,
        "host": host_of_session(alert), "names": list(session.names), "users": list(session.users),
        "searches": session.searches, "uploads": session.uploads, "attempts": session.attempts,
        "bytes_up": session.bytes_up, "bytes_down": session.bytes_down,
    }  # fmt: skip
