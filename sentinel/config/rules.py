"""Reads rules and policy. Apart from the settings, so that a replay without a configuration loads no sinks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sentinel.policy.policy import Policy
from sentinel.problems import Problem, Problems
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.compiled import kept_or
from sentinel.signatures.folders import builtin_rules, files_in


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        Problems: Every mistake in it, with file and line.
    """
    from sentinel.located import validate
    from sentinel.policy.file import PolicyFile

    return validate(PolicyFile, path).policy


def load_rules(folders: Sequence[Path], *, builtin: bool = True) -> Catalog:
    """Read the built-in catalog, if *builtin*, and what *folders* add to it or replace in it, and run its cases.

    Raises:
        Problems: Every mistake in the rules, with file and line; or there are no rules at all.
    """
    from sentinel.signatures.reading import load_catalog

    where = rule_folders(folders, builtin=builtin)
    return _some(load_catalog(where), where)


def checked_rules(folders: Sequence[Path], *, builtin: bool = True) -> Catalog:
    """Return what `load_rules` does, at once where the very same files were read and found good before.

    Raises:
        Problems: As `load_rules` does.
    """
    where = rule_folders(folders, builtin=builtin)
    return kept_or(lambda: load_rules(folders, builtin=builtin), where, (path for folder in where for path in files_in(folder)))


def rule_folders(folders: Sequence[Path], *, builtin: bool = True) -> list[Path]:
    """Return the folders that rules come from, the built-in one first.

    Raises:
        Problems: One of them is not there.
    """
    where = ([builtin_rules()] if builtin else []) + [Path(folder) for folder in folders]
    missing = [
        Problem(str(folder), 0, "no such folder of rules", "Create it or mend the path.")
        for folder in where
        if not folder.is_dir()
    ]
    if missing:
        raise Problems(missing)
    return where


def _some(catalog: Catalog, where: Sequence[Path]) -> Catalog:
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
