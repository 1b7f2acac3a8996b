"""What came in at a listener within a moment, put together to be committed at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sentinel.coverage import Coverage
from sentinel.sources.batch import Batch, Position


@dataclass(frozen=True, slots=True)
class Burst:
    """Some messages of several senders, a batch for each, and the listener's own account since the burst before.

    `committed` is to be called when all of it is kept: senders that wait for it are told then.
    """

    key: str
    path: str  # the listener, as people read it
    batches: tuple[Batch, ...]
    position: Position
    committed: Callable[[], None]
    caught_up: bool
    refused: Counter[str] = field(default_factory=Counter)  # messages and connections that were not taken, by reason
    notes: tuple[str, ...] = ()

    def add_to(self, coverage: Coverage) -> None:
        """Add the account to the listener's."""
        count = self.refused.total()
        coverage.records += count
        coverage.unparsed += count
        coverage.unreadable += self.refused
        coverage.complete = coverage.complete and not (count or self.notes)
        for note in self.notes:
            coverage.note(note)
