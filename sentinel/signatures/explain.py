"""Says why a host name or URL matches, and which indicators it only resembles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sentinel.observation import Observation
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.matcher import Match, Matcher
from sentinel.signatures.service import Indicator


@dataclass(frozen=True, slots=True)
class Near:
    """An indicator that a name resembles and does not match."""

    service: str
    indicator: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What matches, at most one indicator a service, and what nearly does."""

    matches: list[Match]
    near: list[Near]


def explain(catalog: Catalog, seen: Observation) -> Explanation:
    """Return which services of *catalog* match *seen*, and which indicators of the others it resembles."""
    matches = Matcher(catalog).match(seen)
    matched = {match.service.id for match in matches}
    near = [
        Near(service.id, indicator.label, why)
        for service in catalog.services.values()
        if service.id not in matched
        for indicator in service.indicators
        for why in _resembles(indicator, seen)
    ]
    return Explanation(matches, near)


def _resembles(indicator: Indicator, seen: Observation) -> Iterator[str]:
    url, name = indicator.url, seen.name or ""
    host = indicator.domain or indicator.host or (url.host if url else None)
    if host is None:
        return
    if url and name == host:
        yield "the host is the same; method, path or query is not, or only the host was given"
    elif indicator.host and name.endswith(f".{host}"):
        yield "it lies below the host, and the indicator is for the host alone"
    elif name != host and name.endswith(host) and not name.endswith(f".{host}"):
        yield "it only ends alike: the name does not begin at a dot"
    elif f".{host}." in f".{name}.":
        yield "it holds the name inside a longer one that belongs to somebody else"
    elif host in (seen.url or "") and not name.endswith(host):
        yield "the URL mentions the name, and its host is another"
