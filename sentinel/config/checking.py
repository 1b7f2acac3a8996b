"""Tries a configuration the way `sentinel check` and the daemon's start do: all mistakes at once, nothing changed."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

from sentinel.config.interfaces import forbidden_interfaces, interfaces, missing_interfaces
from sentinel.config.listeners import closed_listeners, listeners
from sentinel.config.loading import examine
from sentinel.located import Lines
from sentinel.problems import Problem
from sentinel.sinks.delivery import try_out
from sentinel.sinks.outcome import Delivered


def problems_in(path: Path) -> list[Problem]:
    """Return every mistake in a configuration, in the rules and policy it names, and in its sources."""
    found = examine(path)
    problems = list(found.problems)
    if found.settings is not None:
        problems += unreadable_sources(found.settings, path, found.lines)
        problems += missing_interfaces(found.settings, path, found.lines)
        problems += closed_listeners(found.settings, path, found.lines)
        if not found.problems:
            problems += blind_sources(found.settings, path, found.lines)
    return list(dict.fromkeys(problems))


def unreadable_sources(settings: Any, path: Path, lines: Lines) -> list[Problem]:
    """Return a problem for each file that a source names and this user may not read."""
    return [
        Problem(
            str(path),
            lines.of(("sources", nth, "path")),
            f"the source {file} cannot be read by this user",
            "Add the user to the file's group, such as adm.",
        )
        for nth, file in _files(settings, path)
        if not os.access(file, os.R_OK)
    ]


def blind_sources(settings: Any, path: Path, lines: Lines) -> list[Problem]:
    """Return what is wrong when no source can be read, or no interface may be: started so, Sentinel would watch nothing."""
    forbidden = forbidden_interfaces(settings, path, lines)
    if forbidden or listeners(settings) or any(os.access(file, os.R_OK) for _nth, file in _files(settings, path)):
        return forbidden
    missing, named = missing_interfaces(settings, path, lines), interfaces(settings)
    if len(missing) < len(named):
        return []
    patterns = ", ".join(pattern for source in settings.sources for pattern in source.patterns())
    if named and not patterns:
        return missing
    return [
        *missing,
        Problem(
            str(path),
            lines.of(("sources",)),
            f"no source can be read: {patterns}",
            "Name at least one log that exists and that this user may read.",
        ),
    ]


def refused_by_sinks(path: Path) -> list[Problem]:
    """Return a problem for each sink that does not take a marked test alert; sinks with mistakes in them are not tried."""
    found = examine(path)
    problems = []
    for nth, sink in enumerate(found.settings.sinks if found.settings else ()):
        outcome = try_out(sink) if not sink.mistakes() else None
        if outcome is not None and not isinstance(outcome, Delivered):
            problems.append(
                Problem(
                    str(path),
                    found.lines.of(("sinks", nth)),
                    f"the sink {sink.name!r}: {outcome.reason}",
                    "Look at its address, secret and certificates.",
                )
            )
    return problems


def _files(settings: Any, path: Path) -> list[tuple[int, str]]:
    """Return the files that are there, each with the number of its source."""
    base = path.resolve().parent
    return [
        (nth, file)
        for nth, source in enumerate(settings.sources)
        for pattern in source.patterns()
        for file in glob.glob(str(base / pattern), recursive=True)
    ]
