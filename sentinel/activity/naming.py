"""Puts beside a session who had its client's address, and who its users are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sentinel.activity.records import Session
from sentinel.policy.policy import Person, Use

if TYPE_CHECKING:
    from sentinel.identity.directory import Directory


def named(session: Session, directory: Directory, serves: str | None = None) -> Session:
    """Return the session with the person or device that had the address all through it, and the explanation.

    Whom its own records name stays. Where the address changed hands, or nothing is certain, nobody else is named, nor where
    it is infrastructure: *serves* says in words what other records showed it to be, such as "a proxy".
    """
    if session.client is None:
        return replace(session, identity="cannot say: no record names the client's address")
    if serves:
        user = session.users[0] if len(session.users) == 1 else None
        why = f"cannot say: {session.client} is {serves} for others, whose access it may have repeated"
        return replace(session, user=user, device=session.own_device, identity=why)
    answer = directory.throughout(session.client, session.started, session.ended)
    own = session.users[0] if len(session.users) == 1 else None
    user = own if session.users or answer.said is None else answer.said.user
    device = session.own_device or (answer.said.device if answer.said else None)
    return replace(session, user=user, device=device, identity=answer.explanation)


def use_of(session: Session, directory: Directory | None) -> Use:
    """Return a session as policy judges it."""
    return Use(
        service=session.service,
        category=session.category,
        client=session.client,
        people=_people(session, directory),
        started=session.started,
        ended=session.ended,
    )


def _people(session: Session, directory: Directory | None) -> Sequence[Person]:
    """Return the people whose use a session is: those whom its records name, else the one who had the address."""
    users = session.users or ((session.user,) if session.user else ())
    return [directory.person(user) if directory else Person.named(user) for user in users]
