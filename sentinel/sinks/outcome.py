"""What became of a document that a sink was given: three answers, named for what the outbox does next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""

    answer: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now. Try again, not before `after_secs` (0: the outbox's own back-off decides)."""

    reason: str
    after_secs: float = 0


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


class Sink(Protocol):
    """Delivers documents. One thread owns a sink, so that it may keep a connection without locks."""

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Deliver *documents* and tell what became of each, in their order. Never raises for what a receiver does."""

    def close(self) -> None:
        """Let go of connections and files."""
