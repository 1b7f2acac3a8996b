"""An alert under the field names of Splunk's Common Information Model 8.5: data models Alerts and Intrusion Detection.

The event is flat JSON, as Splunk's searches want it; fields of our own begin with `sentinel_`. The tags `alert`, `ids` and
`attack` that bind it to the models are set in Splunk, by an event type on `sourcetype="sentinel:alert"` (docs/alerts.md).
Reference: https://help.splunk.com/en/data-management/common-information-model/8.5
"""

from __future__ import annotations

import json
from typing import Any

from sentinel.activity.records import Alert, Session
from sentinel.schemas.ecs import host_of_session
from sentinel.schemas.text import (
    PRODUCT,
    SCALE,
    TITLES,
    TYPES,
    VENDOR,
    one_sentence,
    present,
    reason,
    refused,
    stamp,
    tidy,
)
from sentinel.terms import Severity

SEVERITIES = {Severity.INFO: "informational"} | {
    severity: severity.word for severity in Severity if severity is not Severity.INFO
}
"""CIM knows critical, high, medium, low, informational and unknown."""


def cim(alert: Alert, sensor: str) -> bytes:
    """Return *alert* as one line of JSON without its end; *sensor* is the name of the machine that raised it."""
    document: dict[str, Any] = {
        "time": stamp(alert.created),
        "id": alert.id,
        "app": PRODUCT,
        "vendor_product": f"{VENDOR} {PRODUCT}",
        "type": "alert" if alert.session else "event",
        "signature": TITLES[alert.kind],
        "signature_id": TYPES[alert.kind],
        "subject": TITLES[alert.kind],
        "description": one_sentence(alert),
        "severity": SEVERITIES[alert.severity],
        "severity_id": SCALE[alert.severity],
        "dvc": sensor,
        "src_port": alert.client_port,
        "dest_ip": alert.server,
        "dest_port": alert.server_port,
        "url": alert.url,
        "http_method": alert.method,
        "sentinel_kind": alert.kind,
        **{f"sentinel_extra_{key}": value for key, value in alert.extra.items()},
        **(_session(alert, alert.session) if alert.session else {}),
    }
    return json.dumps(tidy(present(document)), ensure_ascii=False, separators=(",", ":")).encode()


def _session(alert: Alert, session: Session) -> dict[str, Any]:
    host = host_of_session(alert)
    return {
        "action": "blocked" if refused(session) else "allowed",
        "ids_type": "network",
        "category": session.category,
        "signature": session.service_name,
        "signature_id": session.service,
        "src": session.device or session.client,
        "src_ip": session.client,
        "src_host": session.device,
        "dest": host or alert.server,
        "dest_host": host,
        "user": session.user,
        "bytes_out": session.bytes_up,
        "bytes_in": session.bytes_down,
        "sentinel_session": session.id,
        "sentinel_service": session.service,
        "sentinel_stage": session.stage.word,
        "sentinel_basis": session.basis.value,
        "sentinel_verdict": session.verdict.value,
        "sentinel_network": session.network,
        "sentinel_started": stamp(session.started),
        "sentinel_ended": stamp(session.ended),
        "sentinel_findings": session.findings,
        "sentinel_searches": session.searches,
        "sentinel_uploads": session.uploads,
        "sentinel_attempts": session.attempts,
        "sentinel_names": list(session.names),
        "sentinel_users": list(session.users),
        "reason": reason(alert),
    }
