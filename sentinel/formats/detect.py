"""Tells a log's format from some of its records, in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence

from sentinel import formats
from sentinel.formats.format import LogFormat, cleaned

SURE = 0.5
"""The share of records that have to look like a format: start-up messages and foreign lines are part of real logs."""

APART = 0.2
"""By how much of the records the best has to be ahead of another that claims the same ones; closer, it cannot be told."""

Ranked = list[tuple[LogFormat, float]]


def candidates(records: Sequence[bytes]) -> Ranked:
    """Return the formats that any of *records* looks like, with the share that does (0.0 to 1.0), best first."""
    told = [record for record in map(cleaned, records) if record.strip()]
    text = b"\n".join(told)
    asked = (one for one in formats.FORMATS.values() if not one.signs or any(sign in text for sign in one.signs))
    scores = [(log_format, log_format.recognise(told)) for log_format in asked] if told else []
    return sorted(((f, score) for f, score in scores if score > 0), key=lambda ranked: (-ranked[1], ranked[0].name))


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
        if score - close < APART and any(best.recognise([record]) and other.recognise([record]) for record in told):
            return []
    return ranked
