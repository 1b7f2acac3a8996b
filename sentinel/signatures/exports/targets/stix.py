"""A STIX 2.1 bundle: an identity, and an indicator for each way a service shows.

All ids are made from the entries themselves, so that a platform that imports two exports holds each indicator once.
Reference: https://docs.oasis-open.org/cti/stix/v2.1/os/stix-v2.1-os.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sentinel.signatures.exports.entry import Entry
from sentinel.signatures.exports.ids import stable_uuid
from sentinel.signatures.exports.request import host_regex, path_regex, query_regexes
from sentinel.signatures.exports.target import About, Target

CREATED = "2026-01-01T00:00:00.000Z"
"""When the objects were first made: every version of an object has to say the same (3.2)."""

CONFIDENCE = {"confirmed": 85, "reported": 50, "inferred": 15}
"""The middles of STIX's own None / Low / Med / High scale (Appendix A)."""

SOURCE = "sentinel-face-search"
"""Names us in `external_references`; what follows is the id of the service."""


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return the bundle as JSON. `modified` is the export's time."""
    us = {
        "type": "identity",
        "spec_version": "2.1",
        "id": f"identity--{stable_uuid('identity')}",
        "created": CREATED,
        "modified": CREATED,
        "name": "Sentinel",
        "description": " ".join(about.lines),
        "identity_class": "system",
    }
    modified = _time(max(about.made, datetime.fromisoformat(CREATED)))
    objects = [us, *(_indicator(entry, us["id"], modified) for entry in entries)]
    bundle = {"type": "bundle", "id": f"bundle--{stable_uuid('bundle', about.ruleset)}", "objects": objects}
    return {"sentinel.stix.json": json.dumps(bundle, indent=1, ensure_ascii=False) + "\n"}


def _indicator(entry: Entry, creator: str, modified: str) -> dict[str, Any]:
    service, described = entry.service, entry.service.described
    valid_from, valid_until = described.get("valid_from"), described.get("valid_until")
    found: dict[str, Any] = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{stable_uuid('indicator', entry.key)}",
        "created_by_ref": creator,
        "created": CREATED,
        "modified": modified,
        "confidence": CONFIDENCE[entry.confidence],
        "labels": [service.category, f"severity:{entry.severity}", f"stage:{entry.indicator.stage}", *_said(entry)],
        "external_references": [
            {"source_name": SOURCE, "external_id": service.id},
            *({"source_name": "reference", "url": one} for one in service.references if one.startswith("https://")),
        ],
        "name": f"{service.name}: {entry.indicator.label}",
        "indicator_types": ["anomalous-activity"],
        "pattern": pattern(entry),
        "pattern_type": "stix",
        "valid_from": f"{valid_from}T00:00:00Z" if valid_from else CREATED,
    }
    if valid_until and valid_until > found["valid_from"][:10]:
        found["valid_until"] = f"{valid_until}T00:00:00Z"
    if entry.indicator.note:
        found["description"] = entry.indicator.note
    return found


def _said(entry: Entry) -> Iterator[str]:
    """Yield what else is so of an indicator, as labels."""
    one = entry.indicator
    if one.basis:
        yield f"basis:{one.basis}"
    if one.polled:
        yield "polled"
    if one.secret:
        yield "secret"


def pattern(entry: Entry) -> str:
    """Return the STIX pattern of an entry."""
    name = _text(entry.name)
    if entry.kind == "domain":
        return f"[domain-name:value = {name} OR domain-name:value LIKE {_text('%.' + entry.name)}]"
    if entry.kind == "host":
        return f"[domain-name:value = {name}]"
    if entry.kind == "host_pattern":
        return f"[domain-name:value MATCHES {_text(f'^{host_regex(entry.name)}$')}]"
    if entry.kind == "mail_from":
        sender = "email-message:from_ref.value"
        return f"[{sender} LIKE {_text('%@' + entry.name)} OR {sender} LIKE {_text('%@%.' + entry.name)}]"
    return f"[{' AND '.join(_request(entry))}]"


def _request(entry: Entry) -> Iterator[str]:
    url = entry.url
    path = (path_regex(url) or "").removeprefix("^")
    if not url.methods:
        host = host_regex(url.host or url.host_pattern or "")
        for regex in (f"^https?://{host}(:[0-9]+)?{path}", *query_regexes(url)):
            yield f"url:value MATCHES {_text(regex)}"
        return
    # A URL has no method; a request seen in the traffic has.
    request = "network-traffic:extensions.'http-request-ext'"
    methods = " OR ".join(f"{request}.request_method = {_text(method)}" for method in sorted(url.methods))
    yield f"({methods})"
    if url.host_pattern != "*":
        host = f"^{host_regex(url.host or url.host_pattern or '')}(:[0-9]+)?$"
        yield f"{request}.request_header.Host MATCHES {_text(host)}"
    for regex in (f"^{path}", *query_regexes(url)):
        yield f"{request}.request_value MATCHES {_text(regex)}"


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _refuses(entry: Entry) -> str | None:
    if entry.kind == "url" and path_regex(entry.url) is None:
        return "the expression of its path cannot be said in PCRE over path and query"
    return None


TARGET = Target(
    title="STIX 2.1 bundle",
    reference="https://docs.oasis-open.org/cti/stix/v2.1/os/stix-v2.1-os.html",
    write=write,
    leaves={"app": "STIX has no observable for an app's id"},
    refuses=_refuses,
    covered=True,
)
