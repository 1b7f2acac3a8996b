"""What a sink is given and what became of it: three answers, named for what the outbox does next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sentinel.activity.records import Alert


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it. `reference` is the receiver's own name for what it made of it: a thread, an issue's key."""

    answer: str = ""
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now. Try again, not before `after_secs` (0: the outbox's own back-off decides)."""

    reason: str
    after_secs: float = 0
    tried: bool = True  # False: another document's failure kept this one from being sent, so that its own wait need not grow


@dataclass(frozen=True, slots=True)
class Rejected:
    """The document's own fault, in the receiver's words. It goes to the dead letters."""

    reason: str


Outcome = Delivered | Retry | Rejected


@dataclass(frozen=True, slots=True)
class Document:
    """One alert as bytes in the sink's schema, with what a transport may need beside them."""

    id: str  # the alert's id: the idempotency key
    body: bytes
    kind: str  # the alert's kind
    severity: int  # syslog severity, 0 to 7
    time: datetime  # of the alert, UTC
    session: str | None = None  # the session's id: alerts on one session belong in one thread, issue or partition
    reference: str | None = None  # what the receiver called the session's earlier alert; see `Delivered`


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An alert on its way to one sink, with what the receiver said last."""

    alert: Alert
    attempts: int
    first_queued: datetime
    answer: str | None = None
    reference: str | None = None  # what the receiver called what it made of the session's earlier alerts


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one alert at one sink."""

    alert: str
    sink: str
    state: str  # pending, delivered, dead
    attempts: int
    answer: str | None  # the receiver's last
    delivered_at: datetime | None
    next_at: datetime | None  # of a pending one that is not due at once


@dataclass(frozen=True, slots=True)
class Health:
    """How a sink fares. `failures` are one after the other: 0 while it delivers."""

    sink: str
    failures: int = 0
    since: datetime | None = None  # of the first of them
    retry_at: datetime | None = None
    reason: str | None = None  # of the last failure
    delivered_at: datetime | None = None
    forgotten: int = 0  # dead letters that went for the sake of the limit


class Sink(Protocol):
    """Delivers documents. One thread owns a sink, so that it may keep a connection without locks."""

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Deliver *documents* and tell what became of each, in their order. Never raises for what a receiver does."""

    def close(self) -> None:
        """Let go of connections and files."""


def one_by_one(documents: Sequence[Document], deliver: Delivery) -> list[Outcome]:
    """Deliver *documents* one after the other. After one that has to wait the others are not tried."""
    outcomes: list[Outcome] = []
    for document in documents:
        outcome = deliver(document)
        outcomes.append(outcome)
        if isinstance(outcome, Retry):
            untried = Retry(outcome.reason, outcome.after_secs, tried=False)
            return outcomes + [untried] * (len(documents) - len(outcomes))
    return outcomes


class Delivery(Protocol):
    """Delivers one document."""

    def __call__(self, document: Document, /) -> Outcome:
        """Tell what became of *document*."""
