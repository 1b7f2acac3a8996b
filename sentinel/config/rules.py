"""Reads rules and policy. Apart from the settings, so that a replay without a configuration loads no sinks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sentinel.located import Problem, Problems, validate
from sentinel.policy.policy import Policy
from sentinel.signatures.catalog import Catalog, builtin_rules, load_catalog


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        Problems: Every mistake in it, with file and line.
    """
    return validate(Policy, path)


def load_rules(folders: Sequence[Path], *, builtin: bool = True) -> Catalog:
    """Read the built-in catalog, if *builtin*, and what *folders* add to it or replace in it.

    Raises:
        Problems: Every mistake in the rules, with file and line; or there are no rules at all.
    """
    where = ([builtin_rules()] if builtin else []) + [Path(folder) for folder in folders]
    missing = [
        Problem(str(folder), 0, "no such folder of rules", "Create it or mend the path.")
        for folder in where
        if not folder.is_dir()
    ]
    if missing:
        raise Problems(missing)
    catalog = load_catalog(where)
    if not catalog.services:
        names = ", ".join(map(str, where)) or "the configuration"
        raise Problems(
            [
                Problem(
                    names, 0, "no rules: Sentinel would watch for nothing", "Keep builtin_rules, or name a folder with rules."
                )
            ]
        )
    return catalog
