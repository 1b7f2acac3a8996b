"""Builds the next rules and policy aside, in a thread of its own, while the engine goes on with the present ones.

The engine's thread asks between two batches whether something is ready, and takes it up by one assignment.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from sentinel.config.checking import blind_sources
from sentinel.config.loading import Loaded, load
from sentinel.config.rules import overdue, sources_of
from sentinel.config.watching import Seen, look, rule_files
from sentinel.extract import Ruling
from sentinel.problems import Problems
from sentinel.signatures.difference import difference

log = structlog.get_logger()

EVERY = 0.5
"""Seconds between two looks at the files. What changed is read when two looks in a row show the same: an editor or a copy may
be half done."""

RULES = {"rules", "builtin_rules", "rules_pack", "feeds", "policy", "policy_file"}
"""The settings that are taken up without stopping anything."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be in force next. With *restart*, other settings changed too: the sources and sinks start anew."""

    loaded: Loaded
    ruling: Ruling
    restart: bool


class Reloader:
    """Watches what a running configuration is made of, and has the next one ready."""

    def __init__(self, config: Path, loaded: Loaded, ruling: Ruling) -> None:
        """Take what is in force; read nothing yet."""
        self._config = config
        self._loaded, self._ruling = loaded, ruling
        self._rules_of = loaded.settings  # where the rules in force come from; other settings of it may wait for a SIGHUP
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._ready: Prepared | None = None
        self._others = _others(config, loaded.settings)
        self._used = self._look()

    def ask(self) -> None:
        """Ask for everything to be read again, other settings included. Safe in a signal's handler."""
        self._asked.set()

    def take(self) -> Prepared | None:
        """Return what is ready to be in force, once."""
        with self._lock:
            ready, self._ready = self._ready, None
        return ready

    def run(self, stop: threading.Event) -> None:
        """Look, and build what changed, until *stop*."""
        before = self._used
        while not stop.is_set():
            asked = self._asked.wait(EVERY)
            if stop.is_set():
                return
            now = self._look()
            settled, before = now == before, now
            if asked or (settled and now != self._used):
                self._asked.clear()
                self._prepare(asked=asked)
                # Other settings may name other files. Those that were known count as they looked before they were read.
                self._used = before = {**self._look(), **now}

    def _look(self) -> Seen:
        try:
            return look(rule_files(self._config, self._rules_of))
        except OSError:  # a folder that goes away while it is listed: the next look tells
            return {}

    def _prepare(self, *, asked: bool) -> None:
        try:
            loaded = load(self._config)
            others = _others(self._config, loaded.settings)
            restart = asked and others != self._others
            blind = blind_sources(loaded.settings, self._config, loaded.lines) if restart else []
            if blind:
                raise Problems(blind)
            ruling = Ruling.of(loaded.catalog, loaded.policy)
            ruling.matcher.warm(self._ruling.matcher)
        except Problems as problems:
            log.error("reload refused, the last good set stays", problems=[str(problem) for problem in problems.problems])
            return
        except Exception:  # a reload that fails for a reason nobody thought of must not end the watch
            log.exception("reload refused, the last good set stays")
            return
        self._rules_of = loaded.settings
        warn_of_overdue(self._config, loaded.settings)
        if not restart:
            if others[0] != self._others[0]:
                log.info("settings changed: only rules and policy were taken up, SIGHUP takes the rest")
            loaded = replace(loaded, settings=_with_rules(self._loaded.settings, loaded.settings))
        self._announce(ruling)
        self._loaded, self._ruling = loaded, ruling
        self._others = others if restart else self._others
        with self._lock:
            # What was ready and not taken yet is replaced; that it was to start sources anew still holds.
            self._ready = Prepared(loaded, ruling, restart or (self._ready is not None and self._ready.restart))

    def _announce(self, ruling: Ruling) -> None:
        before, after = self._ruling.catalog, ruling.catalog
        log.info(
            "reload prepared",
            services=len(ruling.facts),
            before=before.digest[:12],
            after=after.digest[:12],
            policy="changed" if ruling.policy != self._ruling.policy else "same",
            **difference(before, after).fields(),
        )


def warn_of_overdue(config: Path, settings: Any) -> None:
    """Log it when the pack in force should have been replaced by now."""
    with contextlib.suppress(Problems):  # of a pack that is replaced at this moment the next look tells
        for warning in overdue(sources_of(settings, config.resolve().parent), datetime.now(UTC)):
            log.warning("rules are out of date", reason=warning.what, pack=warning.file)


def _others(config: Path, settings: Any) -> tuple[dict[str, Any], Seen]:
    """Return the settings that need sources and sinks to start anew, and what the files that they name look like now.

    Certificates, secrets and mappings change under the same name, and SIGHUP is how a daemon is told.
    """
    dumped = dict(settings.model_dump(exclude=RULES))
    named = [config.resolve().parent / path for path in _paths(dumped)]
    return dumped, look([file for path in named for file in ([*path.rglob("*")] if path.is_dir() else [path])])


def _paths(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _paths(inner)


def _with_rules(running: Any, read: Any) -> Any:
    """Return the settings that run, with where rules and policy come from as it was read."""
    return running.model_copy(update={name: getattr(read, name) for name in RULES})
