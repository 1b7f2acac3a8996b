"""An alert as an Adaptive Card 1.4 in the message that Microsoft Teams' Workflows take.

The webhook answers before the flow has run, and 28 KB is the most it takes. Text blocks understand a part of Markdown: what
came from traffic is escaped. https://learn.microsoft.com/power-automate/teams/teams-webhooks
"""

from __future__ import annotations

import json
import re
from typing import Any

from sentinel.activity.records import Alert
from sentinel.schemas.message import Message, message
from sentinel.terms import Severity

STYLES = {
    Severity.INFO: "default",
    Severity.LOW: "accent",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "attention",
    Severity.CRITICAL: "attention",
}


def teams(alert: Alert, sensor: str, link: str | None = None) -> bytes:
    """Return *alert* as the JSON that a Workflows webhook takes. *link*: see `message`."""
    said = message(alert, link)
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "fallbackText": markdown(said.title),
        "body": _body(said, alert, sensor),
    }
    if said.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the report", "url": said.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return json.dumps({"type": "message", "attachments": [attachment]}, ensure_ascii=False, separators=(",", ":")).encode()


def _body(said: Message, alert: Alert, sensor: str) -> list[dict[str, Any]]:
    style = STYLES[said.severity]
    head = {"type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": True, "text": markdown(said.title)}
    body: list[dict[str, Any]] = [
        {"type": "Container", "style": style, "bleed": True, "items": [head]},
        {"type": "TextBlock", "wrap": True, "text": markdown(said.text)},
    ]
    if said.facts:
        facts = [{"title": label, "value": markdown(value)} for label, value in said.facts]
        body.append({"type": "FactSet", "facts": facts})
    if said.next:
        body.append({"type": "TextBlock", "wrap": True, "weight": "Bolder", "text": f"Next: {markdown(said.next)}"})
    foot = {"type": "TextBlock", "wrap": True, "isSubtle": True, "size": "Small", "text": markdown(f"{alert.id} from {sensor}")}
    return [*body, foot]


def markdown(text: str) -> str:
    r"""Return *text* with the characters escaped that Markdown would take for markup: `\*`, `\[` and their like."""
    return re.sub(r"([\\`*_\[\]()#<>~|])", r"\\\1", text)
