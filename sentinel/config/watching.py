"""Tells when a file that rules and policy are made of has changed.

Files are looked at, not subscribed to: that works on every file system, also where a folder is replaced as a whole, and costs
a few milliseconds for the hundreds that there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sentinel.config.rules import sources_of

Seen = dict[Path, tuple[int, int, int]]
"""Modification time in nanoseconds, size and inode of each file that is there."""


def rule_files(config: Path, settings: Any) -> list[Path]:
    """Return the files that rules and policy of a configuration are made of, itself included, as far as they are there."""
    base = config.resolve().parent
    policy = [base / settings.policy_file] if settings.policy_file else []
    return [config, *policy, *sources_of(settings, base).files()]


def look(files: Iterable[Path]) -> Seen:
    """Return what each file looks like now; one that is not there is left out."""
    seen: Seen = {}
    for path in files:
        try:
            found = os.stat(path)
        except OSError:
            continue
        seen[path] = (found.st_mtime_ns, found.st_size, found.st_ino)
    return seen
