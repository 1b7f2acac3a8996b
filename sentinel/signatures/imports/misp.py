"""A MISP event, a response with several, or a feed's list of them.

Reference: https://www.misp-standard.org/rfc/misp-standard-core.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sentinel.signatures.imports.item import Described, Refused, Taken, noted, of_url
from sentinel.terms import Severity

SEVERITIES = "|".join(severity.word for severity in Severity)
OURS = re.compile(rf"(.+) \(([a-z0-9-]+)\): ([a-z-]+), ({SEVERITIES}), ([a-z]+)\Z", re.DOTALL)
"""The comment of an attribute that Sentinel exported: service, its id, category, severity, stage."""


def read(data: bytes) -> Iterator[Taken | Refused]:
    """Yield what each attribute says, those of objects as well.

    Raises:
        ValueError: It is no JSON, or no event.
    """
    tree = json.loads(data)
    events = tree if isinstance(tree, list) else tree.get("response", [tree]) if isinstance(tree, dict) else None
    if not isinstance(events, list) or not all(isinstance(one, dict) for one in events):
        raise ValueError("no MISP event")
    for event in events:
        body = event.get("Event", event)
        attributes = [
            *_listed(body, "Attribute"),
            *(one for group in _listed(body, "Object") for one in _listed(group, "Attribute")),
        ]
        for number, attribute in enumerate(attributes, 1):
            yield _taken(attribute, f"attribute {attribute.get('uuid') or number}")


def _listed(tree: Any, key: str) -> list[Mapping[str, Any]]:
    found = tree.get(key, []) if isinstance(tree, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError(f"{key!r} is no list of objects")
    return found


def _taken(attribute: Mapping[str, Any], where: str) -> Taken | Refused:
    kind, value, comment = (
        str(attribute.get("type")),
        str(attribute.get("value", "")).strip(),
        str(attribute.get("comment") or ""),
    )
    if attribute.get("deleted"):
        return Refused(where, "deleted")
    ours = OURS.match(comment)
    service = Described(ours[2], ours[1], ours[3], ours[4]) if ours else None
    stage, note = (ours[5], None) if ours else ("contact", comment)
    if kind == "mobile-application-id":
        return Taken(where, noted({"ios" if value.isdigit() else "android": value, "stage": stage}, note), service)
    if attribute.get("to_ids") is False:
        return Refused(where, "not for detection (to_ids is false)")
    if kind in ("domain", "domain|ip"):
        return Taken(where, noted({"domain": value.partition("|")[0], "stage": stage}, note), service)
    if kind in ("hostname", "hostname|port"):
        return Taken(where, noted({"host": value.partition("|")[0], "stage": stage}, note), service)
    if kind in ("url", "uri", "link"):
        found = of_url(where, value, note, service)
        return Taken(where, {**found.indicator, "stage": stage}, service) if ours and isinstance(found, Taken) else found
    return Refused(where, f"of the type {kind}")
