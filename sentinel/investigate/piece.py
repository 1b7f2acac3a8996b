"""What a replay reads, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sentinel.coverage import Coverage
from sentinel.extract import Matched


@dataclass(frozen=True, slots=True)
class Piece:
    """Something that was read: findings of one input, whose account so far is beside them."""

    coverage: Coverage
    matched: Sequence[Matched]
    read: int  # stored bytes since the last piece
    ends: bool
