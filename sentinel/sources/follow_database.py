"""Follows a database that a program adds rows to: Pi-hole's queries, a browser's visits."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import structlog

from sentinel.sources.batch import Batch, Input, Position
from sentinel.sources.containers import batch_of
from sentinel.sources.databases import Mark, Unreadable, read, state
from sentinel.sources.records import digest_of

log = structlog.get_logger()


class FollowDatabase:
    """One database file, which may appear later."""

    def __init__(self, path: str, *, poll_secs: float = 10.0) -> None:
        """Name the file; nothing is opened yet.

        Args:
            path: Where it is, or will be.
            poll_secs: How often it is looked at.
        """
        self._path = path
        self._key = "database-" + digest_of(path.encode())
        self._poll_secs = poll_secs

    def batches(self, stop: threading.Event, positions: Mapping[str, Position]) -> Iterator[Batch]:
        """Yield rows as they are added, until *stop*. A row is told as it stands when it is first seen.

        Each batch owns its bytes. One with `caught_up` is empty, and says that there is nothing more for now.
        """
        known = positions.get(self._key, {}).get("mark")
        mark: Mark | None = (known[0], known[1]) if known else None
        before: object = None
        told = False
        while not stop.is_set():
            now = state(self._path)
            if now and now != before:
                try:
                    for part in read(self._path, mark, live=True):
                        mark = part.mark
                        if part.records:
                            told = False
                            yield self._batch(part.kind.format, part.records, part.places, mark)
                    before = now
                except Unreadable as error:
                    log.warning("database cannot be read now", path=self._path, reason=str(error))
            if not told:
                told = True
                yield self._batch(None, [], [], mark, caught_up=True)
            stop.wait(self._poll_secs)

    def _batch(
        self, log_format: str | None, records: list[bytes], places: list[int], mark: Mark | None, *, caught_up: bool = False
    ) -> Batch:
        source = Input(self._path, self._key, datetime.now(UTC), None, log_format)
        made = batch_of(source, records, places, records)
        position = {"mark": list(mark) if mark else None}
        return Batch(source, made.data, 0, position, made.arrived, caught_up=caught_up, cuts=made.cuts)
