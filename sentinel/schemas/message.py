"""What people read of an alert in a chat, a mail or a ticket: what, who, where, how far, how sure, what to do, where to look.

Everything here is defanged and on one line each; what a channel's own markup needs escaped is its module's matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sentinel.activity.records import Alert, AlertKind, Session
from sentinel.activity.wording import defang
from sentinel.schemas.text import TITLES, clean, cut, for_people, hosts, one_sentence, reason, refused
from sentinel.terms import Basis, Severity, Stage, Verdict

STAGES = {
    Stage.LOOKUP: "looked the name up",
    Stage.CONTACT: "connected, no request seen",
    Stage.VISIT: "visited the site",
    Stage.LOGIN: "logged in",
    Stage.UPLOAD: "uploaded a photo",
    Stage.SEARCH: "ran a face search",
    Stage.RESULT: "viewed search results",
}

NEXT: Mapping[AlertKind, str] = {
    "source-silent": "See whether the source still writes: until then nothing of it is watched.",
    "coverage-gap": "See what could not be read: use during that time cannot be ruled out.",
    "sink-backlog": "See why the receiver takes nothing (`sentinel sinks status`): its alerts wait, and none is lost yet.",
    "exception-ended": "Hold the use against what was approved; from now on such use is against policy.",
    "sink-test": "Nothing. If you can read this, alerts arrive.",
}

COLOURS = {
    Severity.INFO: "#6b7280",
    Severity.LOW: "#2563eb",
    Severity.MEDIUM: "#d97706",
    Severity.HIGH: "#dc2626",
    Severity.CRITICAL: "#7f1d1d",
}

LONG = 400
"""Bytes of one fact that a message shows; the store has the rest."""


@dataclass(frozen=True, slots=True)
class Message:
    """An alert for people. `facts` are labels and values, in the order in which they are read."""

    title: str
    text: str
    facts: tuple[tuple[str, str], ...]
    next: str
    severity: Severity
    link: str | None


def message(alert: Alert, link: str | None) -> Message:
    """Return what people read of *alert*. *link*: where more is to be seen, `{session}` and `{alert}` to be filled in."""
    service = for_people(alert, alert.session.service_name) if alert.session else None
    title = f"{alert.severity.word.upper()}: {TITLES[alert.kind]}" + (f" ({service})" if service else "")
    return Message(
        title=cut(title, 140),
        text=cut(one_sentence(alert), 1000),
        facts=tuple((label, cut(value, LONG)) for label, value in _facts(alert, alert.session) if value),
        next=_next(alert, alert.session),
        severity=alert.severity,
        link=_filled(link, alert),
    )


def _facts(alert: Alert, session: Session | None) -> list[tuple[str, str | None]]:
    if session is None:
        return []
    sure = "a record says so" if session.basis is Basis.OBSERVED else "inferred from the host, sizes or timing"
    if session.stage is Stage.LOOKUP:
        sure = "a look-up alone: browsers also make them for links that nobody opens"
    return [
        ("Who", _who(session)),
        ("Where", clean(session.network) if session.network else None),
        ("What", _what(alert, session)),
        ("Stage", f"{session.stage.word}: {'every access was refused' if refused(session) else STAGES[session.stage]}"),
        ("How sure", sure),
        ("Searches", f"at least {session.searches}" if session.searches else None),
        ("When", f"{session.started:%Y-%m-%d %H:%M:%S} to {session.ended:%H:%M:%S} UTC"),
        ("Policy", reason(alert)),
    ]


def _who(session: Session) -> str:
    several = f"one of {', '.join(session.users)}" if len(session.users) > 1 else session.user
    return clean(", ".join(part for part in (several, session.device, session.client) if part) or "unknown")


def _what(alert: Alert, session: Session) -> str:
    named = [defang(name) for name in hosts(alert)[:3]]
    return for_people(alert, session.service_name) + (f" ({', '.join(named)})" if named else "")


def _next(alert: Alert, session: Session | None) -> str:
    if session is None:
        return NEXT.get(alert.kind, "")
    if session.verdict is not Verdict.UNSANCTIONED:
        return "Nothing: policy allows it."
    if refused(session):
        return "Nothing was reached. Ask why it was tried when it happens again."
    if session.stage <= Stage.CONTACT:
        return "Wait. This alone is no use; you are told when it goes further."
    if session.stage <= Stage.LOGIN:
        return "Ask the person what it was for; you are told when a search follows."
    return f"Keep the evidence (session {session.id}), tell the supervisor, and ask for the case it was done for."


def _filled(link: str | None, alert: Alert) -> str | None:
    if link is None:
        return None
    return link.replace("{session}", alert.session.id if alert.session else "").replace("{alert}", alert.id)
