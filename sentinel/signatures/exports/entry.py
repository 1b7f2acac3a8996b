"""What another tool is to look for: the indicators of services, without those that others of the same service cover."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sentinel.signatures.service import Indicator, Service, Url

Kind = Literal["domain", "host", "host_pattern", "url", "mail_from", "app"]

KINDS: tuple[Kind, ...] = ("domain", "host", "host_pattern", "url", "mail_from", "app")

PLURAL: dict[Kind, str] = {
    "domain": "names with all below",
    "host": "single hosts",
    "host_pattern": "host patterns",
    "url": "URLs",
    "mail_from": "mail senders",
    "app": "apps",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One indicator of one service."""

    service: Service
    indicator: Indicator

    @property
    def kind(self) -> Kind:
        """What the indicator is; the ids of apps and extensions are one kind."""
        for kind in KINDS[:-1]:
            if getattr(self.indicator, kind) is not None:
                return kind
        return "app"

    @property
    def name(self) -> str:
        """The host name or pattern that it looks for; of an app, its id."""
        one, url = self.indicator, self.indicator.url
        if url:
            return url.host or url.host_pattern or ""
        return one.domain or one.host or one.host_pattern or one.mail_from or one.android or one.ios or one.extension or ""

    @property
    def url(self) -> Url:
        """The request that it looks for; only an entry of the kind `url` has one."""
        if self.indicator.url is None:
            raise ValueError(f"{self.indicator.label} is no URL")
        return self.indicator.url

    @property
    def severity(self) -> str:
        """How bad it is; a search that the service itself keeps no record of is worse than the service."""
        return "critical" if self.indicator.secret else self.service.severity

    @property
    def confidence(self) -> str:
        """How sure it is that the indicator is the service's own."""
        return self.indicator.confidence or str(self.service.described.get("confidence", "confirmed"))

    @property
    def key(self) -> str:
        """What names this entry for good: derived ids are made of it, so that they stay the same in every export."""
        return f"{self.service.id} {self.indicator.label}"


def entries(services: Iterable[Service], *, covered: bool = False) -> list[Entry]:
    """Return the indicators of *services* in an order that depends on nothing but them.

    Args:
        services: In any order.
        covered: Whether to keep those that add nothing to whether a service is met, such as a path on a host that is itself
            an indicator: they tell the stage.
    """
    found: list[Entry] = []
    for service in sorted(services, key=lambda service: service.id):
        unique = {entry.key: entry for entry in (Entry(service, indicator) for indicator in service.indicators)}
        kept = unique.values() if covered else _uncovered(list(unique.values()))
        found += sorted(kept, key=lambda entry: (KINDS.index(entry.kind), entry.name, entry.indicator.label))
    return found


def below(name: str, domains: Iterable[str]) -> bool:
    """Return whether *name* is one of *domains* or below one of them."""
    wanted = domains if isinstance(domains, (set, frozenset, dict)) else set(domains)
    while name:
        if name in wanted:
            return True
        name = name.partition(".")[2]
    return False


def _fixed(name: str) -> str:
    """Return the labels of a pattern behind its last star; a name without one as it is."""
    return name.rpartition("*")[2].partition(".")[2] if "*" in name else name


def _uncovered(found: list[Entry]) -> Iterator[Entry]:
    domains = {entry.name for entry in found if entry.kind == "domain"}
    alone = {entry.name for entry in found if entry.kind in ("host", "host_pattern")}
    for entry in found:
        name = _fixed(entry.name)
        if entry.kind in ("mail_from", "app"):
            yield entry
        elif entry.kind == "domain":
            if not below(name.partition(".")[2], domains):
                yield entry
        elif not below(name, domains) and not (entry.kind == "url" and entry.name in alone):
            yield entry


@dataclass(frozen=True, slots=True)
class Names:
    """Host names to block, each once, whichever service it belongs to."""

    domains: tuple[str, ...]
    hosts: tuple[str, ...]
    patterns: tuple[str, ...]


def merged(found: Iterable[Entry]) -> Names:
    """Return the names of *found*, without those that lie below another one."""
    found = list(found)
    domains = {entry.name for entry in found if entry.kind == "domain"}
    hosts = {entry.name for entry in found if entry.kind == "host"}
    patterns = {entry.name for entry in found if entry.kind == "host_pattern"}
    return Names(
        domains=tuple(sorted(name for name in domains if not below(name.partition(".")[2], domains))),
        hosts=tuple(sorted(name for name in hosts if not below(name, domains))),
        patterns=tuple(sorted(name for name in patterns if not below(_fixed(name), domains))),
    )
