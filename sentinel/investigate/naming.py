"""Reads the identity files of a replay: who had which address."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sentinel.formats.clock import zone_of
from sentinel.identity import Binding, Directory, NotIdentity, bindings
from sentinel.problems import Problem, Problems


def directory_of(paths: Sequence[Path], zone: str | None) -> Directory | None:
    """Return who had which address according to *paths*, files and folders; None when none are given.

    Raises:
        Problems: A file cannot be read, or holds no identity records of a known kind.
    """
    if not paths:
        return None
    here = zone_of(zone)
    known: list[Binding] = []
    problems: list[Problem] = []
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            try:
                if file.is_file() or not path.is_dir():
                    changed = datetime.fromtimestamp(file.stat().st_mtime, UTC)
                    known += bindings(file.name, file.read_bytes(), here, changed)
            except (OSError, NotIdentity) as error:
                problems.append(
                    Problem(str(file), 0, str(error), "Give a DHCP lease file, a DHCP log, or a CSV with an address column.")
                )
    if problems:
        raise Problems(problems)
    return Directory(known)
