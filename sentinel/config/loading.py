"""Reads configuration, rules and policy, and gathers every mistake in them before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentinel.config.rules import load_policy, load_rules
from sentinel.config.settings import settings_for
from sentinel.located import load as read_yaml
from sentinel.located import validated
from sentinel.policy.policy import Policy
from sentinel.problems import Problem, Problems
from sentinel.signatures.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that holds together."""

    settings: Any  # `settings_for` the sinks that it names
    catalog: Catalog
    policy: Policy


def load(path: Path) -> Loaded:
    """Read the configuration and all that it refers to.

    Raises:
        Problems: Every mistake in settings, rules and policy together.
    """
    base = path.resolve().parent
    problems: list[Problem] = []
    settings = _gathered(problems, lambda: _settings(path))
    rules, builtin, policy_file = _referred(path) if settings is None else _named(settings)
    catalog = _gathered(problems, lambda: load_rules([base / folder for folder in rules], builtin=builtin))
    policy = _gathered(problems, lambda: load_policy(base / policy_file)) if policy_file else None
    if problems or settings is None or catalog is None:
        raise Problems(problems)
    sinks = [_anchored(sink, base) for sink in settings.sinks]
    mistakes = [Problem(str(path), 0, f"the sink {sink.name!r}: {what}") for sink in sinks for what in sink.mistakes()]
    if mistakes:
        raise Problems(mistakes)
    anchored = settings.model_copy(update={"sinks": sinks})
    return Loaded(anchored, catalog, policy or settings.policy.policy)


def _settings(path: Path) -> Any:
    tree, lines = read_yaml(path)
    sinks = tree.get("sinks") if isinstance(tree, dict) else None
    types = [str(sink.get("type")) for sink in sinks if isinstance(sink, dict)] if isinstance(sinks, list) else []
    return validated(settings_for(types), tree, lines, str(path))


def _gathered(problems: list[Problem], read: Callable[[], Any]) -> Any:
    """Return what *read* gives; None, with its mistakes added to *problems*, when it has any."""
    try:
        return read()
    except Problems as found:
        problems += found.problems
        return None


def _named(settings: Any) -> tuple[list[Path], bool, Path | None]:
    return settings.rules, settings.builtin_rules, settings.policy_file


def _referred(path: Path) -> tuple[list[Path], bool, Path | None]:
    """Return the files that a configuration with mistakes in it refers to, so that theirs are told in the same round."""
    tree = _gathered([], lambda: read_yaml(path)[0])
    if not isinstance(tree, dict):
        return [], True, None
    rules = tree.get("rules")
    folders = [Path(folder) for folder in rules if isinstance(folder, str)] if isinstance(rules, list) else []
    policy = tree.get("policy_file")
    return folders, tree.get("builtin_rules") is not False, Path(policy) if isinstance(policy, str) else None


def _anchored(sink: Any, base: Path) -> Any:
    """Return a sink's settings with relative paths starting from the configuration's folder, as everywhere in it."""
    paths: dict[str, Any] = {}
    for name in type(sink).model_fields:
        value = getattr(sink, name)
        if isinstance(value, Path):
            paths[name] = base / value
        elif isinstance(value, dict) and any(isinstance(inner, Path) for inner in value.values()):
            paths[name] = {key: base / inner for key, inner in value.items()}
    return sink.model_copy(update=paths)


def unknown_services(catalog: Catalog, policy: Policy, path: Path) -> list[Problem]:
    """Return a problem for each service that the policy sanctions and nobody knows."""
    return [
        Problem(
            str(path),
            0,
            f"the policy sanctions {allowed.service!r}, which no rule describes",
            "Give its `hosts`, or mend the id.",
        )
        for allowed in policy.sanctioned
        if not allowed.hosts and allowed.service not in catalog.services
    ]
