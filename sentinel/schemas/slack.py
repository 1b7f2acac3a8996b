"""An alert as a Slack message: blocks, and the plain text that notifications and screen readers take.

`&`, `<` and `>` are written as entities, and nothing is sent as markup that came from traffic, so that a user who calls himself
`<!channel>` rings nobody. Limits: https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

import json
from typing import Any

from sentinel.activity.records import Alert
from sentinel.schemas.message import COLOURS, Message, message
from sentinel.schemas.text import cut

HEADER, FIELD, SECTION = 140, 1900, 2900
"""Bytes; Slack allows 150, 2000 and 3000 characters."""


def slack(alert: Alert, sensor: str, link: str | None = None) -> bytes:
    """Return *alert* as the JSON that Slack's webhooks and `chat.postMessage` take. *link*: see `message`."""
    said = message(alert, link)
    blocks = _blocks(said, alert, sensor)
    document = {
        "text": cut(escaped(f"{said.title}: {said.text}"), SECTION),
        "attachments": [{"color": COLOURS[said.severity], "blocks": blocks}],
        "unfurl_links": False,
        "unfurl_media": False,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _blocks(said: Message, alert: Alert, sensor: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(said.title, HEADER), "emoji": False}},
        {"type": "section", "text": _text(said.text, SECTION)},
    ]
    if said.facts:
        fields = [_text(f"{label}: {value}", FIELD) for label, value in said.facts]
        blocks.append({"type": "section", "fields": fields[:10]})
    if said.next:
        blocks.append({"type": "section", "text": _text(f"Next: {said.next}", SECTION)})
    if said.link:
        button = {"type": "button", "text": {"type": "plain_text", "text": "Open the report"}, "url": said.link}
        blocks.append({"type": "actions", "elements": [button]})
    blocks.append({"type": "context", "elements": [_text(f"{alert.id} from {sensor}", FIELD)]})
    return blocks


def _text(text: str, most: int) -> dict[str, Any]:
    """Return *text* as plain text: Slack makes neither links nor mentions of it, and needs no entities there."""
    return {"type": "plain_text", "text": cut(text, most) or "-", "emoji": False}


def escaped(text: str) -> str:
    """Return *text* as Slack's markup shows it. Its own escapes are these three alone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
