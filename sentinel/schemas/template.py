"""A document after somebody's own pattern: a tree of JSON in whose texts `{{names}}` are filled in.

Filling in happens after the tree was read, so that nothing in traffic can change its shape. A text that is one name alone takes
the value as it is, number or list; a field whose value is not known is left out. Inside a longer text it is empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sentinel.activity.records import Alert
from sentinel.activity.wording import defang
from sentinel.schemas.event import data
from sentinel.schemas.message import COLOURS, STAGES, message
from sentinel.schemas.teams import markdown
from sentinel.schemas.text import SCALE, SYSLOG, TITLES, TYPES, hosts, one_sentence, present, reason, stamp, tidy

NAME = re.compile(r"\{\{ *([a-z0-9_]+) *\}\}")
Escape = Callable[[str], str]

SHOWN = frozenset(
    {"text", "title", "who", "what", "facts_text", "reason", "next", "stage_text", "how_sure", "network", "user", "device"}
)
"""The values that are for people: a channel's escapes are for these."""


def escape_of(markup: str) -> Escape:
    """Return how what is for people is escaped: `none`, or `markdown`, where nobody is mentioned either."""
    return (lambda text: markdown(text).replace("@", "@\u200b")) if markup == "markdown" else str


def filled(
    tree: Any, alert: Alert, sensor: str, link: str | None, *, escape: Escape = str, more: Mapping[str, str] | None = None
) -> Any:
    """Return *tree* with the names in it filled in for *alert*; *more* are names and values of the settings."""
    known = {name: _escaped(name, value, escape) for name, value in values(alert, sensor, link).items()}
    return _filled(tree, known | dict(more or {}))


def values(alert: Alert, sensor: str, link: str | None) -> dict[str, Any]:
    """Return all that a pattern can name; None where it is not known."""
    said, session = message(alert, link), alert.session
    facts = dict(said.facts)
    document = tidy(present(data(alert, sensor)))
    return {
        "alert": alert.id,
        "session": session.id if session else None,
        "thread": session.id if session else alert.id,
        "kind": alert.kind,
        "type": TYPES[alert.kind],
        "name": TITLES[alert.kind],
        "title": said.title,
        "text": one_sentence(alert),
        "facts_text": "\n".join(f"{label}: {value}" for label, value in said.facts),
        "next": said.next,
        "link": said.link,
        "severity": alert.severity.word,
        "severity_0_to_4": int(alert.severity),
        "severity_1_to_4": max(1, int(alert.severity)),
        "severity_1_to_10": SCALE[alert.severity],
        "severity_servicenow": 0 if alert.kind == "closed" else 5 - int(alert.severity),
        "severity_syslog": SYSLOG[alert.severity],
        "colour": COLOURS[alert.severity],
        "colour_number": int(COLOURS[alert.severity][1:], 16),
        "state_servicenow": "Closing" if alert.kind == "closed" else "New",
        "sensor": sensor,
        "time": stamp(alert.created),
        "time_gmt": f"{alert.created:%Y-%m-%d %H:%M:%S}",
        "time_millis": int(alert.created.timestamp() * 1000),
        "started": stamp(session.started) if session else None,
        "ended": stamp(session.ended) if session else None,
        "service": session.service if session else None,
        "stage": session.stage.word if session else None,
        "stage_text": STAGES[session.stage] if session else None,
        "how_sure": facts.get("How sure"),
        "verdict": session.verdict.value if session else None,
        "reason": reason(alert),
        "who": facts.get("Who"),
        "what": facts.get("What"),
        "user": session.user if session else None,
        "device": session.device if session else None,
        "client": session.client if session else None,
        "node": (session.device or session.client if session else None) or sensor,
        "network": session.network if session else None,
        "searches": session.searches if session else None,
        "hosts": hosts(alert),
        "hosts_text": ", ".join(defang(host) for host in hosts(alert)),
        "observables": _observables(alert),
        "url": alert.url,
        "data": document,
        "data_text": json.dumps(document, ensure_ascii=False, separators=(",", ":")),
    }


def unknown_names(tree: Any, more: Iterable[str]) -> list[str]:
    """Return the names that a pattern uses and nothing is called, *more* being those of the settings."""
    return sorted(set(NAME.findall(json.dumps(tree))) - KNOWN - set(more))


def _observables(alert: Alert) -> list[dict[str, str]]:
    """Return what TheHive looks at further, in its own types."""
    found = [{"dataType": "fqdn", "data": host} for host in hosts(alert)]
    if alert.session and alert.session.client:
        found.append({"dataType": "ip", "data": alert.session.client})
    return found


def _escaped(name: str, value: Any, escape: Escape) -> Any:
    said = value if name == "facts_text" else tidy(value)  # its lines are clean each, and stay lines
    return escape(said) if name in SHOWN and isinstance(said, str) else said


def _filled(tree: Any, known: Mapping[str, Any]) -> Any:
    match tree:
        case str():
            alone = NAME.fullmatch(tree.strip())
            if alone:
                return known[alone[1]]
            return NAME.sub(lambda found: "" if known[found[1]] is None else str(known[found[1]]), tree)
        case dict():
            inner = {key: _filled(value, known) for key, value in tree.items()}
            return {key: value for key, value in inner.items() if value is not None or tree[key] is None}
        case list():
            return [_filled(value, known) for value in tree]
    return tree


def _known() -> frozenset[str]:
    from datetime import UTC, datetime

    from sentinel.terms import Severity

    example = Alert(
        id="al", kind="sink-test", created=datetime.fromtimestamp(0, UTC), severity=Severity.INFO, session=None, text=""
    )
    return frozenset(values(example, "", None))


KNOWN = _known()
"""Every name that a pattern can use."""
