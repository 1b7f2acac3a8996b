"""Reads configuration, rules and policy, and gathers every mistake in them before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentinel.config.rules import load_policy, load_rules
from sentinel.config.settings import Settings
from sentinel.located import Problem, Problems, validate
from sentinel.policy.policy import Policy
from sentinel.signatures.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that holds together."""

    settings: Any  # `Settings`, which is put together from the sinks that are there
    catalog: Catalog
    policy: Policy


def load(path: Path) -> Loaded:
    """Read the configuration and all that it refers to.

    Raises:
        Problems: Every mistake in settings, rules and policy together.
    """
    settings: Any = validate(Settings, path)
    problems: list[Problem] = []
    catalog, policy = None, settings.policy
    base = path.resolve().parent
    try:
        catalog = load_rules([base / folder for folder in settings.rules], builtin=settings.builtin_rules)
    except Problems as found:
        problems += found.problems
    if settings.policy_file:
        try:
            policy = load_policy(base / settings.policy_file)
        except Problems as found:
            problems += found.problems
    if problems or catalog is None:
        raise Problems(problems)
    anchored = settings.model_copy(update={"sinks": [_anchored(sink, base) for sink in settings.sinks]})
    return Loaded(anchored, catalog, policy)


def _anchored(sink: Any, base: Path) -> Any:
    """Return a sink's settings with relative paths starting from the configuration's folder, as everywhere in it."""
    paths = {name: base / value for name in type(sink).model_fields if isinstance(value := getattr(sink, name), Path)}
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
