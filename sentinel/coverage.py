"""What was read of one input, and what could not be: the ground on which "not seen" may be said."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

EXAMPLES = 5


@dataclass(slots=True)
class Coverage:
    """One input's account. Times are event times in UTC; records and bytes are those after decompression."""

    path: str
    format: str | None = None
    sure: float = 0.0
    bytes: int = 0
    records: int = 0
    parsed: int = 0
    unparsed: int = 0
    sampled: bool = True
    first: datetime | None = None
    last: datetime | None = None
    complete: bool = True
    sha256: str | None = None
    notes: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)  # of records that could not be parsed, with offset and reason
    excluded: int = 0  # observations that a rule matched, dropped since policy excludes their address from monitoring
    unreadable: Counter[str] = field(default_factory=Counter)  # by kind: doh, dot, ech, relay, vpn, tor

    @property
    def understood(self) -> bool:
        """Whether a format was found, or there was nothing to read."""
        return self.format is not None or self.bytes == 0

    def note(self, text: str) -> None:
        """Add a sentence that a reader of the report has to know, once."""
        if text not in self.notes:
            self.notes.append(text)

    def saw(self, time: datetime) -> None:
        """Widen the time span."""
        self.first = time if self.first is None or time < self.first else self.first
        self.last = time if self.last is None or time > self.last else self.last

    def refused(self, offset: int, reason: str) -> None:
        """Count a record that could not be parsed, and keep the first few."""
        self.unparsed += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"offset {offset}: {reason}")
