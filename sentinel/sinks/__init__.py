"""Where alerts go. Each module of this folder that has a `SINK` is one kind of sink."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from sentinel.sinks.kind import SinkKind


def _collected() -> Iterator[SinkKind]:
    for module in pkgutil.iter_modules(__path__):
        found = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(found, "SINK"):
            yield found.SINK


# Filled after it is named: a module of this folder uses the kinds, and is imported while they are collected.
KINDS: dict[str, SinkKind] = {}
KINDS.update({kind.name: kind for kind in sorted(_collected(), key=lambda found: found.name)})
