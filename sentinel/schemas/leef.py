"""An alert as an event of IBM QRadar's Log Event Extended Format, `LEEF:2.0|vendor|product|version|event id|^|key=value^…`.

LEEF has no escapes: a `^`, which is the delimiter here, or `|` inside a value becomes a space, and control characters are
written out. A tab, the default delimiter, would not survive syslog servers that write control characters out. Keys of our own
follow those that QRadar knows. Reference: https://www.ibm.com/docs/en/SS42VS_DSM/pdf/b_Leef_format_guide.pdf
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sentinel.activity.records import Alert, Session
from sentinel.schemas.ecs import host_of_session
from sentinel.schemas.text import PRODUCT, SCALE, TITLES, TYPES, VENDOR, VERSION, clean, cut, one_sentence, reason

EPOCH = datetime.fromtimestamp(0, UTC)
DELIMITER = "^"

LONGEST = 255
"""Bytes that `usrName` and `identHostName` may have; other values are cut at 4000."""

_REPLACED = str.maketrans({DELIMITER: " ", "|": " "})


def leef(alert: Alert, sensor: str) -> bytes:
    """Return *alert* as one LEEF event without the line's end; *sensor* is the name of the machine that raised it."""
    fields: dict[str, str | int | None] = {
        "cat": alert.session.category if alert.session else alert.kind,
        "devTime": _millis(alert.created),
        "sev": SCALE[alert.severity],
        "srcPort": alert.client_port,
        "dst": alert.server,
        "dstPort": alert.server_port,
        "url": alert.url,
        "method": alert.method,
        "eventId": alert.id,
        "title": TITLES[alert.kind],
        "sensor": sensor,
        **(_session(alert, alert.session) if alert.session else {}),
        "msg": one_sentence(alert),
    }
    values = {key: _value(key, value) for key, value in fields.items() if value is not None}
    header = "|".join(_plain(part) for part in ("LEEF:2.0", VENDOR, PRODUCT, VERSION, TYPES[alert.kind]))
    body = DELIMITER.join(f"{key}={value}" for key, value in values.items() if value)
    return f"{header}|{DELIMITER}|{body}".encode()


def _session(alert: Alert, session: Session) -> dict[str, str | int | None]:
    return {
        "src": session.client,
        "usrName": session.user,
        "identSrc": session.client if session.device else None,  # QRadar takes identHostName only together with it
        "identHostName": session.device if session.client else None,
        "srcBytes": session.bytes_up,
        "dstBytes": session.bytes_down,
        "service": session.service,
        "serviceHost": host_of_session(alert),
        "stage": session.stage.word,
        "basis": session.basis.value,
        "verdict": session.verdict.value,
        "network": session.network,
        "session": session.id,
        "started": _millis(session.started),
        "ended": _millis(session.ended),
        "findings": session.findings,
        "searches": session.searches,
        "uploads": session.uploads,
        "attempts": session.attempts,
        "reason": reason(alert),
    }


def _millis(time: datetime) -> int:
    """Return milliseconds since 1970: 13 digits need no `devTimeFormat`."""
    return (time - EPOCH) // timedelta(milliseconds=1)


def _value(key: str, value: str | int) -> str:
    return cut(_plain(str(value)), LONGEST if key in ("usrName", "identHostName") else 4000).strip()


def _plain(text: str) -> str:
    return clean(text).translate(_REPLACED)
