"""An alert as a message of Graylog's extended log format 1.1. https://go2docs.graylog.org/current/getting_in_log_data/gelf.html

`timestamp` is seconds since 1970, `level` a syslog severity. Fields of our own begin with an underscore and hold text or
numbers alone: Graylog drops booleans, lists and objects.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sentinel.activity.records import Alert, Session
from sentinel.schemas.ecs import host_of_session
from sentinel.schemas.text import SYSLOG, TITLES, TYPES, clean, one_sentence, present, reason, stamp, tidy


def gelf(alert: Alert, sensor: str) -> bytes:
    """Return *alert* as one line of JSON without its end; *sensor* is the name of the machine that raised it."""
    document: dict[str, Any] = {
        "version": "1.1",
        "host": sensor or "unknown",
        "short_message": one_sentence(alert).strip() or TITLES[alert.kind],  # Graylog refuses a message without one
        "full_message": reason(alert),
        "timestamp": round(alert.created.timestamp(), 3),
        "level": SYSLOG[alert.severity],
        "_alert": alert.id,  # "_id" is Graylog's own
        "_type": TYPES[alert.kind],
        "_kind": alert.kind,
        "_severity": alert.severity.word,
        "_src_port": alert.client_port,
        "_dst_ip": alert.server,
        "_dst_port": alert.server_port,
        "_url": alert.url,
        "_http_method": alert.method,
        **{f"_extra_{_field(key)}": value for key, value in alert.extra.items()},
        **(_session(alert, alert.session) if alert.session else {}),
    }
    return json.dumps(tidy(present(document)), ensure_ascii=False, separators=(",", ":")).encode()


def _session(alert: Alert, session: Session) -> dict[str, str | int | None]:
    return {
        "_session": session.id,
        "_service": session.service,
        "_service_name": session.service_name,
        "_category": session.category,
        "_stage": session.stage.word,
        "_basis": session.basis.value,
        "_verdict": session.verdict.value,
        "_network": session.network,
        "_src_ip": session.client,
        "_src_host": session.device,
        "_user": session.user,
        "_users": ", ".join(session.users) or None,
        "_dst_host": host_of_session(alert),
        "_names": ", ".join(session.names) or None,
        "_started": stamp(session.started),
        "_ended": stamp(session.ended),
        "_findings": session.findings,
        "_searches": session.searches,
        "_uploads": session.uploads,
        "_attempts": session.attempts,
        "_bytes_up": session.bytes_up,
        "_bytes_down": session.bytes_down,
    }


def _field(name: str) -> str:
    """Return *name* with nothing but what GELF allows in the name of a field."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", clean(name))
