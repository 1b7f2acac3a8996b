"""Reads folders of service files: every mistake at once, and no rule whose own cases fail."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentinel.located import Lines, load, parsed, salvaged, validated
from sentinel.problems import Problem, Problems
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.file import IndicatorEntry, ServiceFile
from sentinel.signatures.folders import files_in
from sentinel.signatures.selftest import Failure, failures_of
from sentinel.signatures.service import Service

if TYPE_CHECKING:
    from sentinel.signatures.pack import Pack


@dataclass(frozen=True, slots=True)
class Read:
    """The service files of some folders and packs, by the id of their service, where each lies, and its lines."""

    files: Mapping[str, ServiceFile]
    paths: Mapping[str, Path]
    lines: Mapping[str, Lines]

    @property
    def catalog(self) -> Catalog:
        """The rule set that they make."""
        return Catalog.of(file.service for file in self.files.values())

    def problem(self, service: str, where: tuple[str | int, ...], what: str, mend: str) -> Problem:
        """Return what is to be mended in a service's file, with the line of the part that *where* names."""
        return Problem(str(self.paths[service]), self.lines[service].of(where), what, mend)

    def failing(self, failures: Iterable[Failure]) -> list[Problem]:
        """Return the cases that fail as things to mend."""
        return [self.problem(one.service, one.where, one.said, "Mend the indicator or the case.") for one in failures]


def read_files(places: Sequence[Path | Pack]) -> Read:
    """Read all service files of *places*, folders and packs; a later one replaces a service by its id. No cases are run.

    Raises:
        Problems: Every mistake in every file.
    """
    read, problems = read_what_holds(places)
    if problems:
        raise Problems(problems)
    return read


def read_what_holds(places: Sequence[Path | Pack]) -> tuple[Read, list[Problem]]:
    """Return what is left of all service files when their wrong parts are taken out, and every mistake in them.

    What is left is for finding further mistakes in the same round, not for use.
    """
    services: dict[str, ServiceFile] = {}
    problems: list[Problem] = []
    paths: dict[str, Path] = {}
    lines_of: dict[str, Lines] = {}
    for place in places:
        here: dict[str, Path] = {}
        for path, document in _documents(place):
            service, lines, mistakes = _read(path, document)
            problems += mistakes
            if service is None:
                continue
            if service.id in here:
                problems.append(
                    Problem(str(path), 1, f"the service {service.id!r} is also in {here[service.id]}", "Give it its own id.")
                )
            here[service.id] = paths[service.id] = path
            services[service.id], lines_of[service.id] = service, lines
    return Read(services, paths, lines_of), problems


def _read(path: Path, document: Callable[[], tuple[Any, Lines]]) -> tuple[ServiceFile | None, Lines, list[Problem]]:
    try:
        tree, lines = document()
    except Problems as found:
        return None, Lines(None), found.problems
    try:
        return validated(ServiceFile, tree, lines, str(path)), lines, []
    except Problems:
        return salvaged(ServiceFile, tree, lines, str(path))


def _documents(place: Path | Pack) -> Iterator[tuple[Path, Callable[[], tuple[Any, Lines]]]]:
    """Yield the documents of a place: where each lies, and how it is read."""
    if isinstance(place, Path):
        for path in files_in(place):
            yield path, functools.partial(load, path)
        return
    for name, data in place.documents.items():
        inside = Path(f"{place.path}!{name}")
        yield inside, functools.partial(parsed, data, str(inside))


def load_catalog(places: Sequence[Path | Pack]) -> Catalog:
    """Read all service files of *places*, folders and packs, and run their cases.

    Raises:
        Problems: Every mistake in every file, or every case that fails: a rule whose own tests fail does not load.
    """
    read = read_files(places)
    problems = read.failing(failures_of(read.files.values()))
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
