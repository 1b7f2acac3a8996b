"""The rule set: every service file of some folders, checked as a whole."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sentinel.located import Problem, Problems, validate
from sentinel.signatures.service import Indicator, Service


@dataclass(frozen=True)
class Catalog:
    """Services by id."""

    services: Mapping[str, Service]

    @cached_property
    def canonical(self) -> str:
        """The rule set as text that depends on nothing but its meaning: kept beside the findings it made."""
        return json.dumps([self.services[key].canonical() for key in sorted(self.services)], sort_keys=True, ensure_ascii=True)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `canonical`, hex."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    def with_services(self, services: Iterable[Service]) -> Catalog:
        """Return a catalog in which *services* are added, or replace those with the same id."""
        return Catalog({**self.services, **{service.id: service for service in services}})


def builtin_rules() -> Path:
    """Return the folder of the built-in catalog: inside the package once installed, beside it in a checkout."""
    package = Path(str(importlib.resources.files("sentinel")))
    inside = package / "rules"
    return inside if inside.is_dir() else package.parent / "rules"


def load_catalog(folders: Sequence[Path]) -> Catalog:
    """Read all service files of *folders*; a later folder replaces a service by its id.

    Raises:
        Problems: Every mistake in every file, cases that fail among them: a rule whose own tests fail does not load.
    """
    from sentinel.signatures.selftest import failures_of

    services: dict[str, Service] = {}
    problems: list[Problem] = []
    files: dict[str, Path] = {}
    for folder in folders:
        here: dict[str, Path] = {}
        for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
            try:
                service = validate(Service, path)
            except Problems as found:
                problems += found.problems
                continue
            if service.id in here:
                problems.append(
                    Problem(str(path), 1, f"the service {service.id!r} is also in {here[service.id]}", "Give it its own id.")
                )
            here[service.id] = files[service.id] = path
            services[service.id] = service
    catalog = Catalog(services)
    for service_id, failures in failures_of(catalog).items() if not problems else ():
        problems += [Problem(str(files[service_id]), 1, failure, "Mend the indicator or the case.") for failure in failures]
    if problems:
        raise Problems(problems)
    return catalog


def sanctioned_service(service: str, name: str, hosts: Sequence[str]) -> Service:
    """Return a service of the category sanctioned for an operator's own system.

    Raises:
        Problems: One of *hosts* is no host name, or everybody's.
    """
    try:
        return Service(
            schema=1,
            id=service,
            name=name,
            category="sanctioned",
            severity="info",
            indicators=[Indicator(domain=host) for host in hosts],
        )
    except ValueError as error:
        raise Problems(
            [Problem("policy", 0, f"the sanctioned service {service!r}: {error}", "Mend its id or hosts.")]
        ) from error
