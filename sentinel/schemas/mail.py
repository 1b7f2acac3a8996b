"""An alert as the parts of a mail: subject, plain text and HTML, as JSON. The sink adds sender, recipients and the thread."""

from __future__ import annotations

import html
import json

from sentinel.activity.records import Alert
from sentinel.schemas.message import COLOURS, Message, message
from sentinel.schemas.text import cut
from sentinel.terms import Severity


def mail(alert: Alert, sensor: str, link: str | None = None) -> bytes:
    """Return *alert* as `{"subject", "text", "html", "urgent"}`. *link*: see `message`."""
    said = message(alert, link)
    foot = f"{alert.id} from {sensor}"
    document = {
        "subject": cut(f"[Sentinel] {_subject(said, alert)}", 200),
        "text": _text(said, foot),
        "html": _html(said, foot),
        "urgent": alert.severity >= Severity.HIGH,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _subject(said: Message, alert: Alert) -> str:
    """Return what is the same for all alerts on one session."""
    if alert.session is None:
        return said.title
    facts = dict(said.facts)
    return f"Face search: {facts.get('What', 'unknown')}, {facts.get('Who', 'unknown')}"


def _text(said: Message, foot: str) -> str:
    facts = [f"{label + ':':10} {value}" for label, value in said.facts]
    link = ["", f"Report: {said.link}"] if said.link else []
    following = ["", f"Next: {said.next}"] if said.next else []
    return "\n".join([said.title, "", said.text, "", *facts, *following, *link, "", "-- ", foot, ""])


def _html(said: Message, foot: str) -> str:
    rows = "".join(
        f"<tr><th align='left' valign='top'>{html.escape(label)}&emsp;</th><td>{html.escape(value)}</td></tr>"
        for label, value in said.facts
    )
    link = f"<p><a href='{html.escape(said.link)}'>Open the report</a></p>" if said.link else ""
    following = f"<p><b>Next:</b> {html.escape(said.next)}</p>" if said.next else ""
    return (
        f"<div style='border-left:4px solid {COLOURS[said.severity]};padding-left:1em;font-family:sans-serif'>"
        f"<h3>{html.escape(said.title)}</h3><p>{html.escape(said.text)}</p><table>{rows}</table>{following}{link}"
        f"<p style='color:#6b7280'>{html.escape(foot)}</p></div>"
    )
