r"""An alert as an ArcSight Common Event Format event, `CEF:0|vendor|product|version|class|name|severity|key=value …`.

In the header `\` and `|` are escaped, in a value `\` and `=`; nothing else is. Reference, ArcSight's implementation standard:
https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors-25.1/cef-implementation-standard/
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sentinel.activity.records import Alert, Session
from sentinel.schemas.ecs import host_of_session
from sentinel.schemas.text import PRODUCT, SCALE, TITLES, TYPES, VENDOR, VERSION, clean, cut, one_sentence, reason

EPOCH = datetime.fromtimestamp(0, UTC)

LONGEST = {"dvchost": 100, "externalId": 40, "cs1": 4000, "cs2": 4000, "cs3": 4000, "cs4": 4000, "cs5": 4000, "cs6": 4000}
"""Characters that the standard allows of a value; 1023 of all others here. Bytes are counted, which are never fewer."""


def cef(alert: Alert, sensor: str) -> bytes:
    """Return *alert* as one CEF event without the line's end; *sensor* is the name of the machine that raised it."""
    header = (VENDOR, PRODUCT, VERSION, TYPES[alert.kind], TITLES[alert.kind], str(SCALE[alert.severity]))
    fields: dict[str, str | int | None] = {
        "rt": _millis(alert.created),
        "externalId": alert.id,
        "act": alert.kind,
        "dvchost": sensor,
        "msg": one_sentence(alert),
        "spt": alert.client_port,
        "dpt": alert.server_port,
        "request": alert.url,
        "requestMethod": alert.method,
        **_address(alert.server, "dst", "c6a3", "Destination IPv6 Address"),
        **(_session(alert, alert.session) if alert.session else {}),
    }
    values = {key: _value(key, value) for key, value in fields.items() if value is not None}
    extension = " ".join(f"{key}={value}" for key, value in values.items() if value)
    return f"CEF:0|{'|'.join(map(_header, header))}|{extension}".encode()


def _session(alert: Alert, session: Session) -> dict[str, str | int | None]:
    return {
        "cat": session.category,
        "start": _millis(session.started),
        "end": _millis(session.ended),
        "cnt": session.findings,
        **_address(session.client, "src", "c6a2", "Source IPv6 Address"),
        "shost": session.device,
        "suser": session.user,
        "dhost": host_of_session(alert),
        "in": session.bytes_up,  # CEF's "in" flows from source to destination
        "out": session.bytes_down,
        "reason": reason(alert),
        **_labelled("cs1", "stage", session.stage.word),
        **_labelled("cs2", "verdict", session.verdict.value),
        **_labelled("cs3", "service", session.service),
        **_labelled("cs4", "basis", session.basis.value),
        **_labelled("cs5", "network", session.network),
        **_labelled("cs6", "session", session.id),
        **_labelled("cn1", "searches", session.searches),
        **_labelled("cn2", "uploads", session.uploads),
        **_labelled("cn3", "attempts", session.attempts),
    }


def _labelled(key: str, label: str, value: str | int | None) -> dict[str, str | int | None]:
    return {} if value is None else {f"{key}Label": label, key: value}


def _address(text: str | None, four: str, six: str, label: str) -> dict[str, str | int | None]:
    """Return the field of an address: `src` and `dst` take IPv4 alone."""
    if text is None:
        return {}
    return _labelled(six, label, text) if ":" in text else {four: text}


def _millis(time: datetime) -> int:
    return (time - EPOCH) // timedelta(milliseconds=1)


def _header(text: str) -> str:
    return clean(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(key: str, value: str | int) -> str:
    text = cut(clean(str(value)), LONGEST.get(key, 1023)).strip(" ")
    return text.replace("\\", "\\\\").replace("=", "\\=")
