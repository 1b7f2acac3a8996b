"""Follows identity sources: has who had which address read again whenever a file of them changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from sentinel.identity import Directory
from sentinel.investigate.naming import IdentityFiles, directory_of
from sentinel.policy.policy import Policy
from sentinel.problems import Problems

log = structlog.get_logger()

EVERY = 2.0
"""Seconds between two looks at the files."""

PAUSES = 10
"""Reading may take a part in so many of the time: the longer it takes, the rarer it is done."""


class IdentityWatch:
    """Reads identity sources in a thread of its own, and has the latest directory ready for the engine."""

    def __init__(self, sources: Sequence[IdentityFiles], policy: Callable[[], Policy]) -> None:
        """Read nothing yet. *policy* returns what is in force: whose addresses are excluded, and which are shared."""
        self._sources = sources
        self._policy = policy
        self._read_as: object = None
        self._took = 0.0
        self._lock = threading.Lock()
        self._ready: Directory | None = None

    def take(self) -> Directory | None:
        """Return what was read since the last call; None when nothing changed."""
        with self._lock:
            ready, self._ready = self._ready, None
        return ready

    def run(self, stop: threading.Event) -> None:
        """Look, and read what changed, until *stop*."""
        while not stop.wait(max(EVERY, self._took * PAUSES)):
            self.look()

    def look(self) -> None:
        """Read everything if a file or the policy changed; on a mistake in them keep what is known, and log it."""
        policy = self._policy()
        looks = (id(policy), tuple(_looks(source.path) for source in self._sources))
        if looks == self._read_as:
            return
        self._read_as = looks
        began = time.monotonic()
        try:
            directory = directory_of(self._sources, policy)
        except Problems as problems:
            log.error("identity not read, what is known stays", problems=[str(problem) for problem in problems.problems])
            return
        finally:
            self._took = time.monotonic() - began
        with self._lock:
            self._ready = directory


def _looks(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what tells whether *path* changed: each file's name, size and time."""
    found = []
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        try:
            stat = file.stat()
        except OSError:  # rotated away between the listing and the look
            continue
        found.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(found)
