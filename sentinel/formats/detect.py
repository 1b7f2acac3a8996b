"""Tells a log's format from some of its records, in whatever order they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sentinel import formats
from sentinel.formats.envelope import bared_records
from sentinel.formats.format import LogFormat, cleaned

SURE = 0.5
"""The share of records that have to look like a format: start-up messages and foreign lines are part of real logs."""

APART = 0.2
"""By how much of the records the best has to be ahead of another that claims the same ones; closer, it cannot be told."""

MOST_BARED = 50
"""Records that are looked at without their headers: it is what costs most of a log that is not understood."""

Ranked = list[tuple[LogFormat, float]]


def candidates(records: Sequence[bytes]) -> Ranked:
    """Return the formats that any of *records* looks like, with the share that does (0.0 to 1.0), best first.

    Records that look like none as they stand are looked at without their syslog headers, which not every format takes off.
    """
    told = [record for record in map(cleaned, records) if record.strip()]
    scores = _scores(told)
    if max(scores.values(), default=0.0) < SURE:
        for level in _without_headers(told[:MOST_BARED]):
            for name, score in _scores(level).items():
                scores[name] = max(scores.get(name, 0.0), score * len(level) / len(told[:MOST_BARED]))
    ranked = [(formats.FORMATS[name], score) for name, score in scores.items() if score > 0]
    return sorted(ranked, key=lambda one: (-one[1], one[0].name))


def _scores(told: Sequence[bytes]) -> dict[str, float]:
    text = b"\n".join(told)
    asked = (one for one in formats.FORMATS.values() if not one.signs or any(sign in text for sign in one.signs))
    return {log_format.name: log_format.recognise(told) for log_format in asked} if told else {}


def _without_headers(told: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield the records without one header, without two, and so on, as far as they have any."""
    levels = [list(bared_records(record)) for record in told]
    for depth in range(max(map(len, levels), default=0)):
        yield [level[depth] for level in levels if len(level) > depth]


def detect(records: Sequence[bytes]) -> Ranked:
    """Return the candidates, best first, when the best is sure; an empty list when it cannot be told (`candidates` says why).

    Two formats that share a mixed file stand side by side; two that claim the same records leave it untold.
    """
    ranked = candidates(records)
    if not ranked or ranked[0][1] < SURE:
        return []
    best, score = ranked[0]
    told = [record for record in map(cleaned, records) if record.strip()]
    for other, close in ranked[1:]:
        if score - close < APART and any(_claims(best, record) and _claims(other, record) for record in told):
            return []
    return ranked


def _claims(log_format: LogFormat, record: bytes) -> bool:
    return any(log_format.recognise([one]) for one in (record, *bared_records(record)))
