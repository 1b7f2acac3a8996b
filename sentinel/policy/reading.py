"""Reads a policy and tells every mistake in it at once: wrong parts, and parts that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sentinel.located import Lines, salvaged
from sentinel.policy.cases import case_of, failure
from sentinel.policy.file import ExceptionEntry, PolicyFile, SanctionedEntry
from sentinel.policy.moments import Zone
from sentinel.policy.policy import Policy
from sentinel.problems import Problem, Problems

Path = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """A policy file that holds together in itself, and where its parts stand."""

    file: PolicyFile
    policy: Policy
    lines: Lines
    name: str
    zone: Zone

    def against(self, categories: Mapping[str, str]) -> list[Problem]:
        """Return every mistake that shows beside the services' *categories*, by id: unknown services, tests that fail."""
        return [Problem(self.name, self.lines.of(path), what, mend) for path, what, mend in self._against(categories)]

    def _against(self, categories: Mapping[str, str]) -> Iterator[tuple[Path, str, str]]:
        own = {**categories, **dict.fromkeys(self.policy.own_hosts(), "sanctioned")}
        for nth, allowed in enumerate(self.file.sanctioned):
            if not allowed.hosts and allowed.service not in categories:
                what = f"the policy sanctions {allowed.service!r}, which no rule describes"
                yield ("sanctioned", nth, "service"), what, "Give its `hosts`, or mend the id."
        unknown = False
        for nth, excepted in enumerate(self.file.exceptions):
            if excepted.service not in own:
                unknown = True
                what = f"the exception of case {excepted.case} names {excepted.service!r}, which no rule describes"
                yield ("exceptions", nth, "service"), what, "Mend the id; `sentinel rules list` shows all."
        if unknown:
            return  # what tests say then says nothing new
        places = _places(self.file)
        for nth, sentence in enumerate(self.file.tests):
            failed = failure(case_of(sentence, self.zone, places), self.policy, own)
            if failed:
                yield ("tests", nth), f"the test {sentence!r} fails: {failed}", "Mend the policy, or the test."


def read_policy(tree: Any, lines: Lines, name: str, zone: Zone, *, told: bool = False) -> ReadPolicy | None:
    """Return the policy in a document that `located` read; times without an offset are in *zone*.

    With *told*, wrong parts were told already, as parts of a larger document: only what the rest says wrongly is, and None
    comes back where nothing more is wrong.

    Raises:
        Problems: Every mistake in it, with its line in *name*.
    """
    file, left, problems = salvaged(PolicyFile, tree, lines, name)
    wrong = bool(problems)
    problems = [] if told else problems
    if file is not None:
        problems += [Problem(name, left.of(path), what, mend) for path, what, mend in _mistakes(file, zone)]
    if problems:
        raise Problems(problems)
    return None if file is None or wrong else ReadPolicy(file, file.made(zone), lines, name, zone)


def _mistakes(file: PolicyFile, zone: Zone) -> Iterator[tuple[Path, str, str]]:
    """Yield what is wrong with parts that are right each for itself: where, what, and how to mend it."""
    networks = [network.name for network in file.networks]
    units = {network.unit for network in file.networks if network.unit} | set(file.units)
    for nth, name in enumerate(networks):
        if name in networks[:nth]:
            yield ("networks", nth, "name"), f"two networks are called {name!r}", "Put their ranges into one entry."
        if name in units - {file.networks[nth].unit}:
            yield ("networks", nth, "name"), f"{name!r} is also the unit of another network", "Give one of them another name."
    yield from _ranges_twice(file)
    for nth, allowed in enumerate(file.sanctioned):
        path: Path = ("sanctioned", nth)
        yield from _unknown(path, f"the sanctioned service {allowed.service!r}", _named_by(allowed), networks, units)
        yield from _empty(path, f"the sanctioned service {allowed.service!r}", allowed, zone)
    keys: list[str] = []
    for nth, excepted in enumerate(file.exceptions):
        path, what = ("exceptions", nth), f"the exception of case {excepted.case}"
        yield from _unknown(path, what, _named_by(excepted), networks, units)
        yield from _empty(path, what, excepted, zone)
        if not (excepted.person or excepted.unit or excepted.network):
            yield path, f"{what} says for nobody in particular", "Give a person, a unit or a network; or sanction the service."
        key = f"{excepted.case}|{excepted.service}|{excepted.since}"
        if key in keys:
            yield path, f"{what} is given twice from the same time on", "Put the people, units or networks into one."
        keys.append(key)
    for nth, sentence in enumerate(file.tests):
        try:
            case_of(sentence, zone, _places(file))
        except ValueError as error:
            yield ("tests", nth), f"the test {sentence!r}: {error}", ""


def _places(file: PolicyFile) -> frozenset[str]:
    return frozenset(name for network in file.networks for name in (network.name, network.unit) if name) | set(file.units)


def _ranges_twice(file: PolicyFile) -> Iterator[tuple[Path, str, str]]:
    seen: dict[str, str] = {}
    for nth, network in enumerate(file.networks):
        for place, cidr in enumerate(network.cidr):
            if cidr in seen:
                what = f"{cidr} belongs to {seen[cidr]!r} and to {network.name!r}"
                yield ("networks", nth, "cidr", place), what, "An address has one narrowest network; keep one of them."
            seen.setdefault(cidr, network.name)


def _named_by(entry: SanctionedEntry | ExceptionEntry) -> Sequence[tuple[str, Sequence[str]]]:
    """Return which networks and units an entry names, under its own keys."""
    if isinstance(entry, SanctionedEntry):
        return [("networks", entry.networks), ("units", entry.units)]
    return [("network", entry.network), ("unit", entry.unit)]


def _unknown(
    path: Path, what: str, named: Sequence[tuple[str, Sequence[str]]], networks: Sequence[str], units: set[str]
) -> Iterator[tuple[Path, str, str]]:
    """Yield the networks and units that are named and not listed: what is misspelled would quietly change verdicts."""
    for key, names in named:
        kind = key.removesuffix("s")
        known = networks if kind == "network" else units
        listed = f"Known are {', '.join(sorted(known))}." if known else f"The policy lists no {kind}s."
        for name in names:
            if name not in known:
                yield (*path, key), f"{what} names the {kind} {name!r}, which is not listed", listed


def _empty(path: Path, what: str, entry: SanctionedEntry | ExceptionEntry, zone: Zone) -> Iterator[tuple[Path, str, str]]:
    during = entry.during(zone)
    if during.since and during.until and during.since >= during.until:
        yield (*path, "until"), f"{what} ends before it begins", "Mend `from` or `until`."


def problems_of(policy: ReadPolicy, services: Mapping[str, Any]) -> list[Problem]:
    """Return what `ReadPolicy.against` does, of services by id, each of which has a `category`."""
    return policy.against({key: service.category for key, service in services.items()})
