"""A MISP event with an attribute for each name, URL and app.

Reference: https://www.misp-standard.org/rfc/misp-standard-core.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from sentinel.signatures.exports.entry import Entry
from sentinel.signatures.exports.ids import stable_uuid
from sentinel.signatures.exports.target import About, Target
from sentinel.terms import Severity

TYPES = {"domain": "domain", "host": "hostname", "url": "url", "app": "mobile-application-id"}
THREAT = {Severity.CRITICAL: "1", Severity.HIGH: "1", Severity.MEDIUM: "2", Severity.LOW: "3", Severity.INFO: "4"}


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return the event as MISP exports one. Its date is the export's, in UTC."""
    made = about.made.astimezone(UTC)
    worst = max((Severity.of(entry.severity) for entry in entries), default=Severity.INFO)
    stamp = str(int(made.timestamp()))
    unique = {(entry.kind, _value(entry), entry.service.id): entry for entry in entries}
    event = {
        "uuid": str(stable_uuid("misp event")),
        "info": f"Face-search services (Sentinel, rule set {about.ruleset[:12]})",
        "date": made.strftime("%Y-%m-%d"),
        "timestamp": stamp,
        "threat_level_id": THREAT[worst],
        "analysis": "2",
        "distribution": "0",
        "published": False,
        "Attribute": [*(_attribute(entry, stamp) for entry in unique.values()), _comment(about, stamp)],
    }
    return {"sentinel.misp.json": json.dumps({"Event": event}, indent=1, ensure_ascii=False) + "\n"}


def _attribute(entry: Entry, stamp: str) -> dict[str, Any]:
    service = entry.service
    return {
        "uuid": str(stable_uuid("misp attribute", service.id, entry.kind, _value(entry))),
        "type": TYPES[entry.kind],
        "category": "Payload delivery" if entry.kind == "app" else "Network activity",
        "value": _value(entry),
        "to_ids": entry.kind != "app",
        "distribution": "5",
        "timestamp": stamp,
        "comment": f"{service.name} ({service.id}): {service.category}, {entry.severity}, {entry.indicator.stage}",
    }


def _comment(about: About, stamp: str) -> dict[str, Any]:
    return {
        "uuid": str(stable_uuid("misp header")),
        "type": "comment",
        "category": "Other",
        "value": " ".join(about.lines),
        "to_ids": False,
        "distribution": "5",
        "timestamp": stamp,
    }


def _value(entry: Entry) -> str:
    return f"https://{entry.name}{entry.url.path}" if entry.kind == "url" else entry.name


def _refuses(entry: Entry) -> str | None:
    if entry.kind == "url":
        url = entry.url
        if not (url.host and url.path):
            return "a URL attribute is literal"
        return "a URL attribute knows no method and no single parameter" if url.methods or url.query else None
    if entry.kind == "app" and entry.indicator.extension:
        return "MISP has no type for a browser extension's id"
    return None


TARGET = Target(
    title="MISP event",
    reference="https://www.misp-standard.org/rfc/misp-standard-core.html",
    write=write,
    leaves={"host_pattern": "an attribute has no patterns", "mail_from": "MISP knows whole sender addresses only"},
    refuses=_refuses,
    covered=True,
)
