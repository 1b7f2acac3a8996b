"""What one rule set looks for and another does not: what a log line says when rules change."""

from __future__ import annotations

from dataclasses import dataclass

from sentinel.signatures.catalog import Catalog

NAMED = 20
"""Services or indicators of a kind that are named; beyond that, how many more there are."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Services by id, and indicators as `service: label`, all in order."""

    services_added: list[str]
    services_removed: list[str]
    services_changed: list[str]
    indicators_added: list[str]
    indicators_removed: list[str]

    def fields(self) -> dict[str, list[str]]:
        """Return what changed for a log line, each list cut to what can be read."""
        lists = {name: getattr(self, name) for name in self.__slots__}
        return {name: _cut(entries) for name, entries in lists.items() if entries}


def difference(before: Catalog, after: Catalog) -> Difference:
    """Return how *after* differs from *before*.

    A service is changed when anything of its description is; an indicator that differs in more than its label is both
    removed and added.
    """
    old, new = before.services, after.services
    changed = sorted(
        one for one in set(old) & set(new) if old[one] is not new[one] and old[one].described != new[one].described
    )
    touched = {*changed, *(set(old) ^ set(new))}
    was, now = _indicators(before, touched), _indicators(after, touched)
    return Difference(
        services_added=sorted(set(new) - set(old)),
        services_removed=sorted(set(old) - set(new)),
        services_changed=changed,
        indicators_added=_labels(now, was),
        indicators_removed=_labels(was, now),
    )


def _indicators(catalog: Catalog, services: set[str]) -> dict[tuple[str, object], str]:
    found: dict[tuple[str, object], str] = {}
    for service in (catalog.services[one] for one in services if one in catalog.services):
        if service.hosts is None:
            found |= {(service.id, one): f"{service.id}: {one.label}" for one in service.indicators}
        else:  # a list may have a million
            found |= {(service.id, name): f"{service.id}: domain {name}" for name in service.hosts}
    return found


def _labels(these: dict[tuple[str, object], str], without: dict[tuple[str, object], str]) -> list[str]:
    return sorted(label for key, label in these.items() if key not in without)


def _cut(entries: list[str]) -> list[str]:
    more = len(entries) - NAMED
    return entries[:NAMED] + ([f"and {more} more"] if more > 0 else [])
