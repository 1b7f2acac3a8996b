"""Tries a configuration the way `sentinel check` and the daemon's start do: all mistakes at once, nothing changed."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

from sentinel.config.interfaces import forbidden_interfaces, interfaces, missing_interfaces
from sentinel.config.loading import load, unknown_services
from sentinel.problems import Problem, Problems
from sentinel.sinks.delivery import try_out
from sentinel.sinks.outcome import Delivered


def problems_in(path: Path) -> list[Problem]:
    """Return every mistake in a configuration, in the rules and policy it names, and in its sources."""
    try:
        loaded = load(path)
    except Problems as found:
        return found.problems
    problems = [
        *unknown_services(loaded.catalog, loaded.policy, path),
        *unreadable_sources(loaded.settings, path),
        *missing_interfaces(loaded.settings, path),
        *blind_sources(loaded.settings, path),
    ]
    return list(dict.fromkeys(problems))


def unreadable_sources(settings: Any, path: Path) -> list[Problem]:
    """Return a problem for each file that a source names and this user may not read."""
    return [
        Problem(
            str(path), 0, f"the source {file} cannot be read by this user", "Add the user to the file's group, such as adm."
        )
        for file in _files(settings, path)
        if not os.access(file, os.R_OK)
    ]


def blind_sources(settings: Any, path: Path) -> list[Problem]:
    """Return what is wrong when no source can be read, or no interface may be: started so, Sentinel would watch nothing."""
    forbidden = forbidden_interfaces(settings, path)
    if forbidden or any(os.access(file, os.R_OK) for file in _files(settings, path)):
        return forbidden
    missing, named = missing_interfaces(settings, path), interfaces(settings)
    if len(missing) < len(named):
        return []
    patterns = ", ".join(pattern for source in settings.sources for pattern in source.patterns())
    if named and not patterns:
        return missing
    return [
        *missing,
        Problem(
            str(path), 0, f"no source can be read: {patterns}", "Name at least one log that exists and that this user may read."
        ),
    ]


def refused_by_sinks(path: Path) -> list[Problem]:
    """Return a problem for each sink that does not take a marked test alert."""
    problems = []
    for sink in load(path).settings.sinks:
        outcome = try_out(sink)
        if not isinstance(outcome, Delivered):
            problems.append(
                Problem(
                    str(path), 0, f"the sink {sink.name!r}: {outcome.reason}", "Look at its address, secret and certificates."
                )
            )
    return problems


def _files(settings: Any, path: Path) -> list[str]:
    base = path.resolve().parent
    return [
        file
        for source in settings.sources
        for pattern in source.patterns()
        for file in glob.glob(str(base / pattern), recursive=True)
    ]
