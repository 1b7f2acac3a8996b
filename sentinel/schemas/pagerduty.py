"""An alert as an event of PagerDuty's Events API v2, without the routing key, which is a secret of the sink.

The session is the incident (`dedup_key`): "opened" and "escalated" trigger it, "closed" resolves it.
https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
"""

from __future__ import annotations

import json
from typing import Any

from sentinel.activity.records import Alert
from sentinel.schemas.event import data
from sentinel.schemas.message import message
from sentinel.schemas.text import PRODUCT, TYPES, clean, cut, one_sentence, present, stamp, tidy
from sentinel.terms import Severity

SEVERITIES = {
    Severity.INFO: "info",
    Severity.LOW: "warning",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "critical",
}


def pagerduty(alert: Alert, sensor: str, link: str | None = None) -> bytes:
    """Return *alert* as the JSON that `/v2/enqueue` takes, its routing key left to add. *link*: see `message`."""
    said = message(alert, link)
    session = alert.session
    document: dict[str, Any] = {
        "event_action": "resolve" if alert.kind == "closed" else "trigger",
        "dedup_key": session.id if session else alert.id,
        "client": PRODUCT,
        "client_url": said.link,
        "links": [{"href": said.link, "text": "Report"}] if said.link else None,
        "payload": {
            "summary": cut(clean(f"{one_sentence(alert)}"), 1000) or said.title,
            "source": (session.device or session.client if session else None) or sensor or "unknown",
            "severity": SEVERITIES[alert.severity],
            "timestamp": stamp(alert.created),
            "component": session.service if session else None,
            "group": session.network if session else None,
            "class": session.stage.word if session else TYPES[alert.kind],
            "custom_details": {"alert": alert.id, "next": said.next, **dict(said.facts), "data": data(alert, sensor)},
        },
    }
    return json.dumps(tidy(present(document)), ensure_ascii=False, separators=(",", ":")).encode()
