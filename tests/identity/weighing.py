"""Asks a made department's records who each visit was, and holds the answers against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta

from sentinel.identity import Directory, bindings
from tests.identity.department import DAY, Department


@dataclass
class Figures:
    """What came of the visits."""

    departments: int = 0
    people: int = 0
    visits: int = 0
    knowable: int = 0
    said: int = 0  # of the knowable, rightly
    right: int = 0
    wrong: int = 0

    def __iadd__(self, other: Figures) -> Figures:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self

    @property
    def wrong_rate(self) -> float:
        """Wrong names among the names that were said."""
        return self.wrong / max(1, self.wrong + self.right)

    @property
    def said_share(self) -> float:
        """The share of what was knowable that was said."""
        return self.said / max(1, self.knowable)


def directory_of(made: Department, until: float = 1e9) -> Directory:
    """Return what is known from the records that arrived until so many minutes after the beginning."""
    claims = [claim for name, data in made.files(until).items() for claim in bindings(name, data, UTC, DAY + timedelta(days=9))]
    return Directory(claims, declared=made.declared.get)


def figures(made: Department) -> Figures:
    """Ask about every visit when all records are in."""
    directory = directory_of(made)
    return _asked(made, lambda visit: directory.who(visit.address, visit.time), made.visits)


def live_figures(made: Department, every: int = 120) -> Figures:
    """Ask about every visit soon after it, from the records that had arrived by then: at the end of each *every* minutes."""
    found = Figures()
    for minute in range(every, 2 * 1440 + every, every):
        then = [v for v in made.visits if minute - every <= (v.time - DAY).total_seconds() / 60 < minute]
        if then:
            directory = directory_of(made, minute)
            found += _asked(made, lambda visit, known=directory: known.who(visit.address, visit.time), then)
    found.departments, found.people = 1, made.size
    return found


def _asked(made: Department, who, visits) -> Figures:
    found = Figures(1, made.size)
    for visit in visits:
        said = who(visit).said
        name = said.user if said else None
        found.visits += 1
        found.knowable += visit.knowable
        found.right += name == visit.person
        found.said += name == visit.person and visit.knowable
        found.wrong += name is not None and name != visit.person
    return found
