"""A store that keeps nothing but which findings there were: a replay that is no case answers, and pays for no database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sentinel.activity.records import Alert, Session
from sentinel.store.step import Step


class NoStore:
    """Takes every commit and forgets all but the findings' ids: a log that is given twice must not count twice."""

    def __init__(self) -> None:
        """Know of no finding."""
        self._ids: set[str] = set()

    def commit(self, step: Step) -> None:
        """Remember the ids of *step*'s findings."""
        self._ids.update(finding.id for finding, _session in step.findings)

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return those of *ids* that were in an earlier step."""
        return self._ids.intersection(ids)

    def recent_sessions(self, since: datetime | None = None) -> list[Session]:
        """Return none."""
        del since
        return []

    def alert(self, alert_id: str) -> Alert | None:
        """Return none."""
        del alert_id
        return None

    def close(self) -> None:
        """Do nothing."""
