"""Says why a host name or URL matches, and which indicators it only resembles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sentinel.observation import Observation
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.matcher import Match, Matcher
from sentinel.signatures.service import Indicator, Url
from sentinel.signatures.spelling import asked, fits, fixed_part

SAME_HOST = "the host is the same"


@dataclass(frozen=True, slots=True)
class Near:
    """An indicator that a name resembles and does not match."""

    service: str
    indicator: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What matches, every indicator of a service with the one that counts first, and what nearly does."""

    matches: list[Match]
    near: list[Near]


def explain(catalog: Catalog, seen: Observation) -> Explanation:
    """Return which services of *catalog* match *seen*, and which indicators of the others it resembles."""
    matcher = Matcher(catalog)
    matches = matcher.match(seen)
    matches = [
        *matches,
        *(
            one
            for one in matcher.every(seen)
            if all((one.service.id, one.indicator) != (m.service.id, m.indicator) for m in matches)
        ),
    ]
    matched = {match.service.id for match in matches}
    near = [
        Near(service.id, indicator.label, why)
        for service in catalog.services.values()
        if service.id not in matched
        for indicator in service.indicators
        for why in _resembles(indicator, seen)
    ]
    # That a name looks alike is said once for a service; which of its requests are meant, for each.
    first = {one.service: one for one in reversed(near) if not one.why.startswith(SAME_HOST)}
    return Explanation(matches, [one for one in near if one.why.startswith(SAME_HOST) or first[one.service] is one])


def _resembles(indicator: Indicator, seen: Observation) -> Iterator[str]:
    url, name = indicator.url, seen.name or ""
    pattern = indicator.host_pattern or (url.host_pattern if url else None)
    host = indicator.domain or indicator.host or (url.host if url else None) or fixed_part(pattern or "")
    if not host:
        return
    if url and (name == host or (pattern and fits(pattern, name))):
        yield _other_request(url, seen)
    elif pattern and name.endswith(f".{host}"):
        yield "it lies below the same host, and does not fit the pattern"
    elif indicator.host and name.endswith(f".{host}"):
        yield "it lies below the host, and the indicator is for the host alone"
    elif name != host and name.endswith(host) and not name.endswith(f".{host}"):
        yield "it only ends alike: the name does not begin at a dot"
    elif f".{host}." in f".{name}.":
        yield "it holds the name inside a longer one that belongs to somebody else"
    elif host in (seen.url or "") and not name.endswith(host):
        yield "the URL mentions the name, and its host is another"


def _other_request(url: Url, seen: Observation) -> str:
    """Return which part of a request to the right host is another."""
    if seen.path is None:
        return f"{SAME_HOST}, which alone tells nothing: the request counts"
    if url.methods and (seen.method or "").upper() not in url.methods:
        return f"{SAME_HOST}, and the method is not {' or '.join(sorted(url.methods))}"
    missing = [want for want in url.query if not asked((want,), seen.query or "")]
    if missing:
        return f"{SAME_HOST}, and the query lacks {' and '.join(missing)}"
    return f"{SAME_HOST}, and the path is another"
