"""A store that keeps nothing: a replay that is not a case answers and is done, and pays for no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sentinel.activity.records import Session
from sentinel.store.step import Step


class NoStore:
    """Takes every commit and forgets it."""

    def commit(self, step: Step) -> None:
        """Let go of *step*."""

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return none: nothing was kept."""
        del ids
        return set()

    def recent_sessions(self) -> list[Session]:
        """Return none."""
        return []

    def positions(self) -> dict[str, Any]:
        """Return none."""
        return {}

    def close(self) -> None:
        """Do nothing."""
