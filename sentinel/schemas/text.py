"""What all schemas share: text without control characters, times, the words of severity, and documents without empty fields."""

from __future__ import annotations

import importlib.metadata
import re
from datetime import UTC, datetime
from typing import Any

from sentinel.activity.records import Alert, AlertKind, Session
from sentinel.activity.wording import defang
from sentinel.terms import Severity

VENDOR = PRODUCT = "Sentinel"
VERSION = importlib.metadata.version("sentinel-face-search")

TYPES: dict[AlertKind, str] = {
    "opened": "sentinel.session.opened",
    "escalated": "sentinel.session.escalated",
    "closed": "sentinel.session.closed",
    "revised": "sentinel.session.revised",
    "source-silent": "sentinel.source.silent",
    "coverage-gap": "sentinel.coverage.gap",
    "sink-backlog": "sentinel.sink.backlog",
    "sink-test": "sentinel.sink.test",
    "exception-ended": "sentinel.exception.ended",
}
"""The type of an alert's event, constant for all events alike: receivers route and count by it."""

TITLES: dict[AlertKind, str] = {
    "opened": "Face-search use began",
    "escalated": "Face-search use went further",
    "closed": "Face-search use ended",
    "revised": "Face-search use was revised",
    "source-silent": "A log source fell silent",
    "coverage-gap": "Traffic could not be read",
    "sink-backlog": "Alerts do not arrive",
    "sink-test": "Test alert",
    "exception-ended": "An exception ended",
}

SCALE = {Severity.INFO: 1, Severity.LOW: 3, Severity.MEDIUM: 5, Severity.HIGH: 8, Severity.CRITICAL: 10}
"""Severity on the scale of 0 to 10 that CEF has (0-3 low, 4-6 medium, 7-8 high, 9-10 very high)."""

SYSLOG = {Severity.INFO: 6, Severity.LOW: 5, Severity.MEDIUM: 4, Severity.HIGH: 3, Severity.CRITICAL: 2}
"""Severity as syslog counts it: 6 informational, 5 notice, 4 warning, 3 error, 2 critical."""


def clean(text: str) -> str:
    r"""Return *text* with all that is not printable written out, as `\x1b`, `\u2028` or, for a byte that was no UTF-8, `\xff`.

    What came off the wire can then neither end a line, nor steer a terminal, nor turn the direction of writing.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _written_out(ord(c)) for c in text)


def _written_out(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # how "surrogateescape" keeps a byte
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def cut(text: str, most: int) -> str:
    """Return *text* in at most *most* bytes of UTF-8 (3 or more), an ellipsis at its end when something was left out."""
    encoded = text.encode()
    return text if len(encoded) <= most else encoded[: most - 3].decode(errors="ignore") + "…"


def one_sentence(alert: Alert) -> str:
    """Return what people read of an alert: one line, and no host name that a chat or mail program would look up.

    The service's own name can be such a host name, "FaceCheck.ID".
    """
    return for_people(alert, alert.text)


def reason(alert: Alert) -> str | None:
    """Return why the alert's session was judged so, for people like `one_sentence`; None without a session."""
    return for_people(alert, alert.session.reason) if alert.session else None


def for_people(alert: Alert, text: str) -> str:
    """Return *text* on one line, with the hosts of the alert's service defanged."""
    said = clean(text)
    for host in hosts(alert) + ([clean(alert.session.service_name)] if alert.session else []):
        if "." in host and host.lower() in said.lower():
            said = re.sub(re.escape(host), lambda found: defang(found[0]), said, flags=re.IGNORECASE)
    return said


def refused(session: Session) -> bool:
    """Return whether every access of the session was refused: then nothing was reached, and it is no use."""
    return 0 < session.attempts == session.findings


def hosts(alert: Alert) -> list[str]:
    """Return the service's hosts that the alert's records name, as machines write them."""
    return [clean(name) for name in alert.session.names] if alert.session else []


def stamp(time: datetime) -> str:
    """Return *time* as ISO 8601 in UTC, milliseconds and a Z, the form that receivers agree on."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def present(value: dict[str, Any]) -> dict[str, Any]:
    """Return *value* without the fields that nothing is known of."""
    kept: dict[str, Any] = {}
    for key, inner in value.items():
        pruned = present(inner) if isinstance(inner, dict) else inner
        if pruned is not None and pruned not in ({}, []):
            kept[key] = pruned
    return kept


def tidy(value: Any) -> Any:
    """Return a document with every text in it, names of fields included, as `clean` gives it."""
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(key): tidy(inner) for key, inner in value.items()}
        case list():
            return [tidy(inner) for inner in value]
    return value
