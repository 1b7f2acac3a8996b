"""Reads folders of service files: every mistake at once, and no rule whose own cases fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sentinel.located import validate
from sentinel.problems import Problem, Problems
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.file import IndicatorEntry, ServiceFile
from sentinel.signatures.folders import files_in
from sentinel.signatures.selftest import failures_of
from sentinel.signatures.service import Service


@dataclass(frozen=True, slots=True)
class Read:
    """The service files of some folders, by the id of their service, and where each lies."""

    files: Mapping[str, ServiceFile]
    paths: Mapping[str, Path]

    @property
    def catalog(self) -> Catalog:
        """The rule set that they make."""
        return Catalog.of(file.service for file in self.files.values())


def read_files(folders: Sequence[Path]) -> Read:
    """Read all service files of *folders*; a later folder replaces a service by its id. Their cases are not run.

    Raises:
        Problems: Every mistake in every file.
    """
    services: dict[str, ServiceFile] = {}
    problems: list[Problem] = []
    paths: dict[str, Path] = {}
    for folder in folders:
        here: dict[str, Path] = {}
        for path in files_in(folder):
            try:
                service = validate(ServiceFile, path)
            except Problems as found:
                problems += found.problems
                continue
            if service.id in here:
                problems.append(
                    Problem(str(path), 1, f"the service {service.id!r} is also in {here[service.id]}", "Give it its own id.")
                )
            here[service.id] = paths[service.id] = path
            services[service.id] = service
    if problems:
        raise Problems(problems)
    return Read(services, paths)


def load_catalog(folders: Sequence[Path]) -> Catalog:
    """Read all service files of *folders* and run their cases.

    Raises:
        Problems: Every mistake in every file, or every case that fails: a rule whose own tests fail does not load.
    """
    read = read_files(folders)
    problems = [
        Problem(str(read.paths[service]), 1, failure, "Mend the indicator or the case.")
        for service, failures in failures_of(read.files.values()).items()
        for failure in failures
    ]
    if problems:
        raise Problems(problems)
    return read.catalog


def sanctioned_service(service: str, name: str, hosts: Sequence[str]) -> Service:
    """Return a service of the category sanctioned for an operator's own system.

    Raises:
        Problems: One of *hosts* is no host name, or everybody's.
    """
    try:
        return ServiceFile(
            schema=1,
            id=service,
            name=name,
            category="sanctioned",
            severity="info",
            indicators=[IndicatorEntry(domain=host) for host in hosts],
        ).service
    except ValueError as error:
        raise Problems(
            [Problem("policy", 0, f"the sanctioned service {service!r}: {error}", "Mend its id or hosts.")]
        ) from error
