"""Who is behind the names of users: one person may have several, and two people never share one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sentinel.policy.policy import Person


@dataclass(frozen=True, slots=True)
class Entry:
    """One person of a directory export: the names of their accounts, and what else is known."""

    accounts: tuple[str, ...]  # as written; the first is how the account is called
    person: str | None = None
    unit: str | None = None
    mailbox: str | None = None
    source: str = ""


class People:
    """The entries of all directory exports, by the names of accounts."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Take up *entries*. A name that two of them give, differing in person, unit or mailbox, is nobody's."""
        self._known: dict[str, Entry | None] = {}
        for entry in entries:
            for account in entry.accounts:
                key = account.casefold()
                before = self._known.get(key, entry)
                self._known[key] = _together(before, entry) if before else None

    def __bool__(self) -> bool:
        """Return whether anybody is known."""
        return bool(self._known)

    def find(self, user: str) -> Entry | None:
        """Return the entry of the one person who is called *user*; None when there is none, or several are."""
        return self._known.get(user.casefold())

    def key(self, user: str) -> str:
        """Return what tells the person behind *user* from all others: users of one person have the same."""
        entry = self.find(user)
        return entry.accounts[0].casefold() if entry else user.casefold()

    def person(self, user: str) -> Person:
        """Return the person behind *user*, as policy knows people."""
        entry = self.find(user)
        if entry is None:
            return Person.named(user)
        return Person(frozenset(account.casefold() for account in (*entry.accounts, user)), entry.unit)


def _together(one: Entry, other: Entry) -> Entry | None:
    """Return two entries under one name as one, when nothing in them differs."""
    if any(a and b and a != b for a, b in ((one.person, other.person), (one.unit, other.unit), (one.mailbox, other.mailbox))):
        return None
    return Entry(
        tuple(dict.fromkeys((*one.accounts, *other.accounts))),
        one.person or other.person,
        one.unit or other.unit,
        one.mailbox or other.mailbox,
        one.source,
    )
