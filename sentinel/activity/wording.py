"""What an alert says to people: one sentence, host names defanged so that a preview never causes the look-up it reports."""

from __future__ import annotations

import re

from sentinel.activity.records import Session
from sentinel.terms import Basis, Stage, Verdict

DID = {
    Stage.LOOKUP: "looked up the name of",
    Stage.CONTACT: "connected to",
    Stage.VISIT: "visited",
    Stage.LOGIN: "logged in to",
    Stage.UPLOAD: "uploaded a photo to",
    Stage.SEARCH: "ran a face search on",
    Stage.RESULT: "viewed face-search results on",
}

DID_WITH_IMAGES = DID | {
    Stage.UPLOAD: "uploaded an image to",
    Stage.SEARCH: "ran an image search on",
    Stage.RESULT: "viewed image-search results on",
}
"""What is said of general reverse-image search: nothing tells whether a face was in the image."""


def defang(host: str) -> str:
    """Return a host name that no mail client or chat turns into a link: `app.clearview[.]ai`."""
    head, dot, last = host.rpartition(".")
    return f"{head}[.]{last}" if dot else host


def defang_all(text: str) -> str:
    """Return a text of ours, a note or an address, with each host name in it defanged, also in front of a path."""
    return re.sub(r"(?<![\w./-])((?:https?://)?(?:[\w*-]+\.)*[\w*-]+)\.([a-z]{2,63})(?![\w.-]*\w)", r"\1[.]\2", text)


def printable(text: str) -> str:
    """Return *text* without control characters: what came off the wire must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def who(session: Session) -> str:
    """Return who a session is about, as far as the records say."""
    several = f"one of {', '.join(session.users)}" if len(session.users) > 1 else session.user
    named = [printable(part) for part in (several, session.device, session.client) if part]
    client = f"{named[0]} ({', '.join(named[1:])})" if len(named) > 1 else (named or ["an unknown client"])[0]
    return f"{client} in {session.network}" if session.network else client


def opened_text(session: Session) -> str:
    """Say that a session began, and how far it got."""
    return f"{who(session)} {_did(session)}{_names(session)}: {_judged(session)}"


def escalated_text(session: Session, before: Stage) -> str:
    """Say that a session went further than it was known to."""
    return f"{who(session)} {_did(session)}{_names(session)}, after {before.word}: {_judged(session)}"


def hidden_text(session: Session) -> str:
    """Say that a session, whose stage was known, now holds a search that leaves no history at the service."""
    return f"{who(session)} {_did(session)}{_names(session)}, in a mode that leaves no history there: {_judged(session)}"


def closed_text(session: Session) -> str:
    """Sum a session up."""
    counts = [f"{session.findings} records"]
    counts += [f"at least {session.searches} searches"] if session.searches else []
    counts += [f"{session.secret_searches} of them without a history at the service"] if session.secret_searches else []
    counts += [f"{session.attempts} refused"] if session.attempts else []
    return f"{who(session)} {_did(session)}{_names(session)}; session over with {', '.join(counts)}: {_judged(session)}"


def revised_text(session: Session, before: Session) -> str:
    """Say that later records tell otherwise who a session is about, or whether it was allowed."""
    was = printable(before.user) if before.user else "nobody"
    now = printable(session.user) if session.user else "nobody"
    named = f"names {now} instead of {was}" if now != was else f"is {session.verdict} instead of {before.verdict}"
    why = f" ({printable(session.identity)})" if session.identity else ""
    return f"Revised: the session of {session.client} on {session.service_name} {named}{why}: {_judged(session)}"


def _did(session: Session) -> str:
    if session.attempts and session.attempts == session.findings:
        return f"was refused access to {session.service_name}"
    hedge = "probably " if session.basis is Basis.INFERRED else ""
    did = DID_WITH_IMAGES if session.category == "reverse-image" else DID
    return f"{hedge}{did[session.stage]} {session.service_name}"


def _names(session: Session) -> str:
    return f" ({', '.join(defang(printable(name)) for name in session.names[:3])})" if session.names else ""


def _judged(session: Session) -> str:
    return session.verdict.value if session.verdict is not Verdict.UNSANCTIONED else f"unsanctioned, {session.severity.word}"
