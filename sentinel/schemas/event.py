"""Sentinel's own JSON: what the webhook posts and the JSON lines file holds.

{"id": "al_…", "type": "sentinel.session.opened", "timestamp": "2026-11-23T05:00:10.123Z", "data": {
  "kind": "opened", "severity": "high", "text": "alice ran a face search on … (app.clearview[.]ai): unsanctioned, high",
  "sensor": "collector-1", "url", "method", "server": {"ip", "port"}, "client_port", "extra": {…},
  "session": {"id", "service", "service_name", "category", "client": {"ip", "user", "device"}, "users": […], "network",
    "started", "ended", "stage", "basis", "severity", "verdict", "reason", "names": ["app.clearview.ai"],
    "searches": {"at_least": 3}, "uploads", "attempts", "findings", "bytes_up", "bytes_down", "open"}}}

The envelope is that of Standard Webhooks (https://www.standardwebhooks.com). `text` and `reason` are for people, their host
names defanged; `names` and `url` are for machines and plain. What is not known is left out.
"""

from __future__ import annotations

import json
from typing import Any

from sentinel.activity.records import Alert, Session
from sentinel.schemas.text import TYPES, one_sentence, present, reason, stamp, tidy


def event(alert: Alert, sensor: str) -> bytes:
    """Return *alert* as one line of JSON without its end; *sensor* is the name of the machine that raised it."""
    document = {"id": alert.id, "type": TYPES[alert.kind], "timestamp": stamp(alert.created), "data": data(alert, sensor)}
    return json.dumps(tidy(present(document)), ensure_ascii=False, separators=(",", ":")).encode()


def data(alert: Alert, sensor: str) -> dict[str, Any]:
    """Return what there is to say of *alert* beside its envelope; what is not known is None."""
    return {
        "kind": alert.kind,
        "severity": alert.severity.word,
        "text": one_sentence(alert),
        "sensor": sensor,
        "session": _session(alert, alert.session) if alert.session else None,
        "url": alert.url,
        "method": alert.method,
        "server": {"ip": alert.server, "port": alert.server_port},
        "client_port": alert.client_port,
        "extra": dict(alert.extra),
    }


def _session(alert: Alert, session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "service": session.service,
        "service_name": session.service_name,
        "category": session.category,
        "client": {"ip": session.client, "user": session.user, "device": session.device},
        "users": list(session.users),
        "network": session.network,
        "started": stamp(session.started),
        "ended": stamp(session.ended),
        "stage": session.stage.word,
        "basis": session.basis.value,
        "severity": session.severity.word,
        "verdict": session.verdict.value,
        "reason": reason(alert),
        "names": list(session.names),
        "searches": {"at_least": session.searches},
        "uploads": session.uploads,
        "attempts": session.attempts,
        "findings": session.findings,
        "bytes_up": session.bytes_up,
        "bytes_down": session.bytes_down,
        "open": session.open,
    }
