"""The few words that everything else is said in: how far a person got, how we know, how bad it is, what policy says."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Stage(IntEnum):
    """The ladder of what a person did with a service; a higher stage includes the lower ones."""

    LOOKUP = 1
    CONTACT = 2
    VISIT = 3
    LOGIN = 4
    UPLOAD = 5
    SEARCH = 6
    RESULT = 7

    @property
    def word(self) -> str:
        """The stage as it is written in rules, JSON and alerts: lower case."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Stage:
        """Return the stage written *word*.

        Raises:
            KeyError: No stage is written so.
        """
        return cls[word.upper()]


class Severity(IntEnum):
    """How much an alert matters, lowest first."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """The severity as it is written in rules, JSON and alerts: lower case."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Severity:
        """Return the severity written *word*.

        Raises:
            KeyError: No severity is written so.
        """
        return cls[word.upper()]


class Basis(StrEnum):
    """How a stage is known: a record says so, or sizes, times or a bare host name suggest it."""

    OBSERVED = "observed"
    INFERRED = "inferred"


class Verdict(StrEnum):
    """What policy says of a session."""

    UNSANCTIONED = "unsanctioned"
    SANCTIONED = "sanctioned"
    EXCEPTED = "excepted"
