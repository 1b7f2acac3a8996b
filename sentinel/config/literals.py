"""Secrets that stand in a configuration themselves, where a reference to them belongs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sentinel.problems import Problem


def literal_secrets(settings: Any, path: Path) -> list[Problem]:
    """Return a warning for each; they work, but a configuration gets copied, shown and mailed."""
    return [
        Problem(
            str(path),
            0,
            f"the sink {sink.name!r} holds a secret itself: {key}",
            "Put it into a file that only Sentinel may read, an environment variable or a vault, and name that.",
        )
        for sink in settings.sinks
        for key in sink.literals()
    ]
