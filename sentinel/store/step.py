"""What a store is given to keep, and the little that the engine asks of one. Needs no database library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sentinel.activity.records import Alert, Finding, Session
from sentinel.coverage import Coverage
from sentinel.sources.batch import Position

_SQLITE = "sqlite:///"


class UnusableStoreError(Exception):
    """What lies there cannot be opened as a store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """All that one batch changes, committed at once.

    findings: each with its session's id, which is among `sessions` or kept already.
    sinks: an alert's id -> the sinks that it goes to.
    coverage: the running totals of the streams that were read.
    merged: the id of a session that is no more -> the one that took it over.
    """

    findings: Sequence[tuple[Finding, str]] = ()
    sessions: Sequence[Session] = ()
    alerts: Sequence[Alert] = ()
    sinks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    positions: Mapping[str, Position] = field(default_factory=dict)
    forget: Sequence[str] = ()
    coverage: Sequence[Coverage] = ()
    ruleset: tuple[str, str] | None = None
    merged: Mapping[str, str] = field(default_factory=dict)


def url_of(setting: str, base: Path) -> str:
    """Return the URL of a store that is *setting*: a URL already, or a path, which counts from the folder *base*."""
    return setting if "://" in setting else f"{_SQLITE}{(base / setting).absolute()}"


class Keeper(Protocol):
    """What the engine needs of a store."""

    def commit(self, step: Step) -> None:
        """Keep all of *step*, or nothing of it."""

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return those of *ids* that are findings kept already."""

    def recent_sessions(self, since: datetime | None = None) -> list[Session]:
        """Return the sessions that a new finding may still belong to, or all that ended after *since*."""

    def alert(self, alert_id: str) -> Alert | None:
        """Return one alert that was raised before; None when there is none of that id."""
