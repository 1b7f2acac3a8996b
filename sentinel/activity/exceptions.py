"""What an exception of the policy was used for: told by an alert when it ends, and by a command at any time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from sentinel.activity.naming import use_of
from sentinel.activity.records import Alert, Session
from sentinel.activity.sessions import digest
from sentinel.activity.wording import printable
from sentinel.policy.policy import Excepted, Policy
from sentinel.terms import Severity, Verdict

if TYPE_CHECKING:
    from sentinel.identity.directory import Directory

NAMED = 10
"""So many people are named in an alert."""


@dataclass(slots=True)
class Usage:
    """What happened under one exception, and what the same people did on the service after its end."""

    exception: Excepted
    sessions: int = 0
    searches: int = 0
    uploads: int = 0
    people: set[str] = field(default_factory=set)  # as the sessions name them: users, else devices, else addresses
    first: datetime | None = None
    last: datetime | None = None
    after: int = 0  # sessions that began when it had ended

    def add(self, session: Session) -> None:
        """Count a session under the exception."""
        self.sessions += 1
        self.searches += session.searches
        self.uploads += session.uploads
        self.people.update(session.users or [session.user or session.device or session.client or "an unknown client"])
        self.first = min(self.first or session.started, session.started)
        self.last = max(self.last or session.ended, session.ended)


def usage(policy: Policy, sessions: Iterable[Session], directory: Directory | None = None) -> list[Usage]:
    """Return what each exception of *policy* was used for according to *sessions*, in the policy's order."""
    found = {one.key: Usage(one) for one in policy.exceptions}
    for session in sessions if found else ():
        if session.verdict is Verdict.EXCEPTED and session.exception in found:
            found[session.exception].add(session)
        elif session.verdict is Verdict.UNSANCTIONED:
            for one in policy.exceptions:
                if one.during.late(session.started) and policy.applies(one, use_of(session, directory)):
                    found[one.key].after += 1
    return list(found.values())


def ended_id(exception: Excepted) -> str:
    """Return the id of the alert that an exception has ended: the same whenever it is raised."""
    return "al_" + digest("exception-ended", exception.key, str(exception.during.until))


def ended_alert(used: Usage, now: datetime) -> Alert:
    """Return the report that goes out when an exception has ended."""
    one = used.exception
    return Alert(
        id=ended_id(one),
        kind="exception-ended",
        created=now,
        severity=Severity.MEDIUM if used.after else Severity.INFO,
        session=None,
        text=usage_text(used),
        extra={
            "service": one.service,
            "case": one.case,
            "legal_basis": one.legal_basis,
            "approved_by": one.approved_by,
            "sessions": str(used.sessions),
            "searches": str(used.searches),
            "uploads": str(used.uploads),
            "sessions_after": str(used.after),
        },
    )


def usage_text(used: Usage) -> str:
    """Say in a sentence what an exception was used for."""
    one = used.exception
    until = f"{one.during.until:%Y-%m-%d %H:%M} UTC" if one.during.until else "no end"
    approved = f"approved by {printable(one.approved_by)}"
    what = f"The exception of case {printable(one.case)} for {one.service} ({approved}), until {until}"
    if used.first is None or used.last is None:
        said = f"{what}: no use was seen"
    else:
        people = sorted(map(printable, used.people))
        named = ", ".join(people[:NAMED]) + (f" and {len(people) - NAMED} more" if len(people) > NAMED else "")
        counts = f"{_counted(used.sessions, 'session')} by {named}, at least {_counted(used.searches, 'search', 'searches')}"
        said = f"{what}: {counts}, first {used.first:%Y-%m-%d}, last {used.last:%Y-%m-%d}"
    return f"{said}; {_counted(used.after, 'session')} after its end" if used.after else said


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
