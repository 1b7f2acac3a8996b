"""The catalog in the words of other tools: one file in `targets` for each, pure functions from services to text.

A target is found by lying in that folder. What a tool cannot say is left out and counted, never said more broadly: a path on
a shared host does not become a rule for the host.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from sentinel.signatures.exports.target import Target

_FOLDER = Path(__file__).with_name("targets")


@cache
def names() -> tuple[str, ...]:
    """Return the names of all targets, sorted, without loading one."""
    return tuple(sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules([str(_FOLDER)])))


def target(name: str) -> Target:
    """Return the target *name*, which is one of `names`."""
    module = importlib.import_module(f"sentinel.signatures.exports.targets.{name.replace('-', '_')}")
    found: Target = module.TARGET
    return found
