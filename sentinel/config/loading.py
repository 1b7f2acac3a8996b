"""Reads configuration, rules and policy, and gathers every mistake in them before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentinel.config.rules import RuleSources, checked_rules, read_policy_at, sources_of
from sentinel.config.settings import settings_for
from sentinel.formats import mapping
from sentinel.formats.clock import zone_of
from sentinel.located import Lines, salvaged
from sentinel.located import load as read_yaml
from sentinel.policy.policy import Policy
from sentinel.policy.reading import ReadPolicy, problems_of, read_policy
from sentinel.problems import Problem, Problems
from sentinel.signatures.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that holds together."""

    settings: Any  # `settings_for` the sinks that it names
    lines: Lines  # of the settings
    catalog: Catalog
    policy: Policy


@dataclass(frozen=True, slots=True)
class Examined:
    """What can be told of a configuration, mistakes and all. What has mistakes is left out or None."""

    settings: Any
    lines: Lines  # of the settings
    catalog: Catalog | None
    policy: ReadPolicy | None
    problems: list[Problem]


def load(path: Path) -> Loaded:
    """Read the configuration and all that it refers to.

    Raises:
        Problems: Every mistake in settings, rules and policy together.
    """
    before = mapping.own_specs("settings")
    found = examine(path)
    if found.problems:
        mapping.register(before, "settings")  # a reload that fails keeps what was good
        raise Problems(found.problems)
    assert found.catalog is not None
    assert found.policy is not None
    return Loaded(found.settings, found.lines, found.catalog, found.policy.policy)


def examine(path: Path) -> Examined:
    """Read the configuration and all that it refers to, as far as it can be read."""
    base = path.resolve().parent
    problems: list[Problem] = []
    tree, lines = _gathered(problems, lambda: read_yaml(path)) or ({}, Lines(None))
    written = lines
    settings = None
    mapped: list[Problem] = []  # before the settings, which may name the formats
    mapping.register(_gathered(mapped, lambda: _mappings(tree, base)) or [], "settings")
    if not problems:
        settings, lines, problems = salvaged(settings_for(_types_of_sinks(tree)), tree, lines, str(path))
    problems += mapped
    sources, policy_file = _referred(tree, base) if settings is None else (sources_of(settings, base), settings.policy_file)
    catalog = _gathered(problems, lambda: checked_rules(sources))
    zone = zone_of(settings.timezone if settings else None)
    if policy_file:
        policy = _gathered(problems, lambda: read_policy_at(base / policy_file, zone))
    else:
        part, below = tree.get("policy") if isinstance(tree, dict) else None, written.below(("policy",))
        policy = _gathered(problems, lambda: read_policy(part or {}, below, str(path), zone, told=True))
    if policy and catalog:
        problems += problems_of(policy, catalog.services)
    if settings is not None:
        sinks = [_anchored(sink, base) for sink in settings.sinks]
        settings = settings.model_copy(update={"sinks": sinks})
        problems += _mistakes(sinks, path, lines)
    return Examined(settings, lines, catalog, policy, problems)


def _mistakes(sinks: list[Any], path: Path, lines: Lines) -> list[Problem]:
    """Return what is wrong with sinks that each sink's own model cannot tell."""
    names = [sink.name for sink in sinks]
    twice = [
        Problem(str(path), lines.of(("sinks", nth, "name")), f"two sinks are called {name!r}", "Give each a name of its own.")
        for nth, name in enumerate(names)
        if name in names[:nth]
    ]
    return twice + [
        Problem(str(path), lines.of(("sinks", nth)), f"the sink {sink.name!r}: {what}")
        for nth, sink in enumerate(sinks)
        for what in sink.mistakes()
    ]


def _types_of_sinks(tree: Any) -> list[str]:
    sinks = tree.get("sinks") if isinstance(tree, dict) else None
    return [str(sink.get("type")) for sink in sinks if isinstance(sink, dict)] if isinstance(sinks, list) else []


def _gathered(problems: list[Problem], read: Callable[[], Any]) -> Any:
    """Return what *read* gives; None, with its mistakes added to *problems*, when it has any."""
    try:
        return read()
    except Problems as found:
        problems += found.problems
        return None


def _mappings(tree: Any, base: Path) -> list[dict[str, Any]]:
    given = tree.get("mappings") if isinstance(tree, dict) else None
    paths = [base / one for one in given if isinstance(one, str)] if isinstance(given, list) else []
    if not paths:
        return []
    from sentinel.formats.mapping.file import load_mappings

    return load_mappings(paths)


def _referred(tree: Any, base: Path) -> tuple[RuleSources, Path | None]:
    """Return what a configuration with mistakes in it refers to, so that the mistakes there are told in the same round."""
    if not isinstance(tree, dict):
        return RuleSources(), None
    rules = tree.get("rules")
    folders = [base / folder for folder in rules if isinstance(folder, str)] if isinstance(rules, list) else []
    policy = tree.get("policy_file")
    return RuleSources(folders, tree.get("builtin_rules") is not False), Path(policy) if isinstance(policy, str) else None


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
