"""An alert as a document of the Elastic Common Schema 9.4. https://www.elastic.co/docs/reference/ecs

What ECS has no field for is under `sentinel.*`, a name of our own as ECS asks of custom fields.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from sentinel.activity.records import Alert, Session
from sentinel.observation import host_name
from sentinel.schemas.text import (
    PRODUCT,
    SCALE,
    TYPES,
    VENDOR,
    VERSION,
    hosts,
    one_sentence,
    present,
    reason,
    refused,
    stamp,
    tidy,
)
from sentinel.terms import Severity, Stage

ECS_VERSION = "9.4.0"

RISK = {Severity.INFO: 10.0, Severity.LOW: 21.0, Severity.MEDIUM: 47.0, Severity.HIGH: 73.0, Severity.CRITICAL: 99.0}
"""`event.risk_score`, 0 to 100: Elastic's own rules use 21, 47, 73 and 99 for low to critical."""


def ecs(alert: Alert, sensor: str) -> bytes:
    """Return *alert* as one line of JSON without its end; *sensor* is the name of the machine that raised it."""
    document: dict[str, Any] = {
        "@timestamp": stamp(alert.created),
        "ecs": {"version": ECS_VERSION},
        "message": one_sentence(alert),
        "event": _event(alert, alert.session),
        "observer": {"name": sensor, "type": "ids", "vendor": VENDOR, "product": PRODUCT, "version": VERSION},
        "data_stream": {"type": "logs", "dataset": "sentinel.alert", "namespace": "default"},
        "source": {"port": alert.client_port},
        "destination": {"ip": alert.server, "port": alert.server_port},
        "http": {"request": {"method": alert.method}},
        "url": _url(alert.url),
        "sentinel": {"extra": dict(alert.extra)},
    }
    if alert.session:
        for name, fields in _session(alert, alert.session).items():
            document[name] = {**document.get(name, {}), **fields}
    return json.dumps(tidy(present(document)), ensure_ascii=False, separators=(",", ":")).encode()


def _event(alert: Alert, session: Session | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "kind": "alert" if session else "event",
        "id": alert.id,
        "code": TYPES[alert.kind],
        "action": alert.kind,
        "module": "sentinel",
        "dataset": "sentinel.alert",
        "provider": "sentinel",
        "created": stamp(alert.created),
        "severity": SCALE[alert.severity],
        "risk_score": RISK[alert.severity],
        "reason": reason(alert),
    }
    if session:
        fields |= {
            "category": ["intrusion_detection", "network"],
            "type": ["denied" if refused(session) else "info"],
            "start": stamp(session.started),
            "end": stamp(session.ended),
        }
    return fields


def _session(alert: Alert, session: Session) -> dict[str, dict[str, Any]]:
    host = host_of_session(alert)
    looked_up = host if session.stage is Stage.LOOKUP and not session.attempts else None
    return {
        "rule": {
            "id": session.service, "name": session.service_name, "category": session.category, "ruleset": "sentinel",
        },
        "source": {"ip": session.client, "bytes": session.bytes_up},
        "destination": {"domain": host, "bytes": session.bytes_down},
        "user": {"name": session.user},
        "host": {"name": session.device},
        "network": {"name": session.network},
        "dns": {"question": {"name": looked_up}},
        "related": {
            "ip": [ip for ip in (session.client, alert.server) if ip],
            "hosts": [*session.names, *([session.device] if session.device else [])],
            "user": sorted({*session.users, *([session.user] if session.user else [])}),
        },
        "labels": {"stage": session.stage.word, "verdict": session.verdict.value, "session": session.id},
        "sentinel": {
            "service": session.service, "stage": session.stage.word, "basis": session.basis.value,
            "verdict": session.verdict.value, "session": session.id, "findings": session.findings,
            "searches": session.searches, "uploads": session.uploads, "attempts": session.attempts,
        },
    }  # fmt: skip


def host_of_session(alert: Alert) -> str | None:
    """Return the one host that was used: the URL's, or the only one that is named; None when there are several."""
    named = hosts(alert)
    return (_url(alert.url).get("domain") or (named[0] if len(named) == 1 else None)) if alert.session else None


def _url(url: str | None) -> dict[str, Any]:
    if url is None:
        return {}
    try:
        parts = urlsplit(url)
        return {
            "full": url, "domain": host_name(parts.hostname), "path": parts.path or None, "scheme": parts.scheme or None,
        }  # fmt: skip
    except ValueError:  # what a client asks for, "http://[" too, is the client's to choose
        return {"original": url}
