"""Finds the records that can matter in a buffer, and says exactly what an observation matches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import hyperscan

from sentinel.observation import Observation, host_of
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.concern import Concern
from sentinel.signatures.pattern import literal_start, path_database
from sentinel.signatures.scanner import compiled
from sentinel.signatures.service import Indicator, Service, Url
from sentinel.signatures.spelling import asked, fits, fixed_part, needles, rare_piece
from sentinel.terms import Basis, Stage

if TYPE_CHECKING:
    from sentinel.signatures.bulk import Bulk

SCANNED = 150_000
"""Names of feeds that Hyperscan looks for together with the rules'; more take it minutes to compile, and `bulk.py` serves."""

WIRED = 5_000
"""The same of DNS messages, where each name is a costly expression; beyond it every message is parsed."""

SHORTEST = 8
"""Bytes that no record of DNS messages is shorter than: one place in so many lies in every record."""

LOOKUPS = frozenset({"dns_query", "dns_answer", "process_dns"})
UNRESERVED = re.compile(r"%(2[DdEe]|3[0-9]|[46][1-9A-Fa-f]|5[0-9AaFf]|7[0-9AaEe])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Match:
    """What an observation says of one service."""

    service: Service
    indicator: str
    stage: Stage
    basis: Basis
    name: str
    reached: bool
    counts_search: bool = False
    counts_upload: bool = False

    @property
    def kept(self) -> bool:
        """Whether an observation that matched so is kept as a finding.

        What blinds us accuses nobody and is only counted. Everybody opens an image search engine: of it, nothing is anybody's
        business before an image goes up.
        """
        if self.service.category == "reverse-image":
            return self.stage >= Stage.UPLOAD
        return self.service.category != "visibility"


@dataclass(slots=True)
class _Known:
    """The indicators that hang on one host name."""

    domains: list[tuple[Service, Indicator]] = field(default_factory=list)  # it and everything below
    hosts: list[tuple[Service, Indicator]] = field(default_factory=list)  # it alone
    patterns: list[tuple[Service, Indicator]] = field(default_factory=list)  # as many labels below it as the pattern has
    urls: list[tuple[Service, Indicator]] = field(default_factory=list)  # on it, or on hosts below it that fit a pattern
    mails: list[tuple[Service, Indicator]] = field(default_factory=list)


class Matcher:
    """A catalog, compiled."""

    def __init__(self, catalog: Catalog) -> None:
        """Index the indicators by host name; the scanners are compiled when a spelling is first met."""
        self._known: dict[str, _Known] = {}
        self._names: set[str] = set()
        self._paths: set[str] = set()
        self._queries: set[str] = set()
        self._scanners: dict[tuple[str, tuple[bytes, ...]], hyperscan.Database] = {}
        self._ends: list[int] = []
        self._feeds = [service for service in catalog.services.values() if service.hosts is not None]
        for service in catalog.services.values():
            for indicator in service.indicators if service.hosts is None else ():
                self._add(service, indicator)
        self._listed = {name for service in self._feeds for name in service.hosts or ()}
        self._wired = len(self._listed) <= WIRED
        self._bulk = self._in_bulk() if len(self._listed) > SCANNED else None
        self._names = {name for name in self._names if not any(parent in self._names for parent in _parents(name))}

    def scan(self, data: memoryview, spelling: str, header_starts: tuple[bytes, ...] = ()) -> list[int]:
        """Return the offsets just behind each needle in *data*, rising: a superset of all that could match.

        *header_starts* are found at the beginning of a record only.
        """
        if not len(data):
            return []
        if spelling == "wire" and not self._wired:
            return list(range(1, len(data) + 1, SHORTEST))
        key = (spelling, header_starts)
        scanner = self._scanners.get(key)
        if scanner is None:
            scanner = self._scanners[key] = self._compiled(spelling, header_starts)
        self._ends = []
        # Its type stub knows str and bytes; it takes any buffer, without a copy.
        scanner.scan(cast("bytes", data), match_event_handler=self._hit)
        if self._bulk is not None:
            self._ends += self._bulk.scan(data, spelling)
        return sorted(set(self._ends))

    def warm(self, like: Matcher) -> None:
        """Compile the scanners that *like* has compiled: when this one takes over, nobody should wait for them."""
        for key in list(like._scanners):
            self._scanners[key] = self._compiled(*key)

    def match(self, seen: Observation) -> list[Match]:
        """Return at most one match a service: a known request's, else the one that proves the highest stage."""
        best: dict[str, Match] = {}
        for match in self.every(seen):
            held = best.get(match.service.id)
            if held is None or _rank(match) > _rank(held):
                best[match.service.id] = match
        return list(best.values())

    def concern(self) -> Concern:
        """Return what tells, of a name alone, whether a lookup or a connection may match."""
        anywhere = self._known.get("", _Known())
        patterns = tuple(indicator.host_pattern or "*" for _service, indicator in anywhere.patterns)
        listed = tuple(service.hosts for service in self._feeds if service.hosts is not None)
        return Concern(frozenset(self._known) - {""}, patterns, listed)

    def every(self, seen: Observation) -> Iterator[Match]:
        """Yield what each indicator that matches makes of an observation, also several of a service."""
        for name in dict.fromkeys((seen.name, *seen.names, _host_of_url(seen.url))):
            if name:
                yield from self._matches(name, seen)

    def _hit(self, _id: int, _begin: int, end: int, _flags: int, _context: object) -> None:
        self._ends.append(end)

    def _in_bulk(self) -> Bulk:
        """Take the feeds' names out of what Hyperscan looks for, all but the few that have no anchor."""
        from sentinel.signatures.bulk import Bulk  # numpy loads slowly, and few have so many names

        bulk = Bulk(self._listed)
        self._listed = set()
        self._names.update(bulk.rest)
        return bulk

    def _compiled(self, spelling: str, header_starts: tuple[bytes, ...]) -> hyperscan.Database:
        wanted = needles(sorted(self._names | self._listed), sorted(self._paths), sorted(self._queries), spelling)
        caseless = hyperscan.HS_FLAG_CASELESS
        expressions = wanted + [b"^" + re.escape(start) for start in header_starts]
        flags = [caseless] * len(wanted) + [hyperscan.HS_FLAG_MULTILINE] * len(header_starts)
        # An empty rule set still has to scan: this needle cannot occur in a record.
        return compiled(expressions or [rb"\n\n\n\n\x00"], flags or [0])

    def _add(self, service: Service, indicator: Indicator) -> None:
        entry = (service, indicator)
        if indicator.domain:
            self._at(indicator.domain).domains.append(entry)
        elif indicator.host:
            self._at(indicator.host).hosts.append(entry)
        elif indicator.host_pattern:
            self._below(indicator.host_pattern).patterns.append(entry)
        elif indicator.url:
            self._add_url(indicator.url, entry)
        elif indicator.mail_from:
            self._at(indicator.mail_from).mails.append(entry)

    def _add_url(self, url: Url, entry: tuple[Service, Indicator]) -> None:
        if url.shared:
            self._known.setdefault(url.host or fixed_part(url.host_pattern or ""), _Known()).urls.append(entry)
            if url.query:
                self._queries.add(max(url.query, key=len))
            else:
                self._paths.add(url.path or literal_start(url.path_regex or ""))
        elif url.host_pattern:
            self._below(url.host_pattern).urls.append(entry)
        else:
            self._at(url.host or "").urls.append(entry)

    def _below(self, pattern: str) -> _Known:
        self._names.add(rare_piece(pattern))
        return self._known.setdefault(fixed_part(pattern), _Known())

    def _at(self, host: str) -> _Known:
        self._names.add(host)
        return self._known.setdefault(host, _Known())

    def _matches(self, name: str, seen: Observation) -> Iterator[Match]:
        here = name
        while True:
            known = self._known.get(here)
            if known is not None:
                yield from self._proved(known, here, name, seen)
            if self._feeds and seen.kind != "mail":
                yield from self._listing(here, name, seen)
            if not here:
                return
            here = here.partition(".")[2]  # in the end "": what holds for any host

    def _listing(self, here: str, name: str, seen: Observation) -> Iterator[Match]:
        for service in self._feeds:
            if here in (service.hosts or ()):
                yield _by_host(service, Indicator(domain=here), name, seen)

    def _proved(self, known: _Known, here: str, name: str, seen: Observation) -> Iterator[Match]:
        if seen.kind == "mail":
            for service, indicator in known.mails:
                yield _by_mail(service, indicator, name, seen)
            return
        entries = list(known.domains)
        if here == name:
            entries += known.hosts
        entries += [entry for entry in known.patterns if fits(entry[1].host_pattern or "", name)]
        for service, indicator in entries:
            yield _by_host(service, indicator, name, seen)
        if seen.kind == "http_request" and name in (seen.name, _host_of_url(seen.url)):
            for service, indicator in known.urls:
                if indicator.url and self._requested(indicator.url, name, seen):
                    yield _by_url(service, indicator, name, seen)

    def _requested(self, url: Url, name: str, seen: Observation) -> bool:
        if url.host != name and not (url.host_pattern and fits(url.host_pattern, name)):
            return False
        if seen.path is None or (url.methods and (seen.method or "").upper() not in url.methods):
            return False
        if url.query and not asked(url.query, seen.query or ""):
            return False
        # RFC 3986, 6.2.2.2: an escaped letter is the letter. On a shared host the path is the needle, taken as it stands.
        path = seen.path if url.shared else UNRESERVED.sub(lambda found: chr(int(found[1], 16)), seen.path)
        if url.path is not None:
            return path == url.path or (url.shared and path.startswith(url.path + "/"))
        found: list[int] = []
        text = path.encode(errors="backslashreplace")  # a path may hold the surrogates of bytes that are no UTF-8
        path_database(url.path_regex or "").scan(text, match_event_handler=lambda *_hit: found.append(1))
        return bool(found)


def _by_mail(service: Service, indicator: Indicator, name: str, seen: Observation) -> Match:
    if seen.action in ("blocked", "challenged"):  # the gateway kept it: nobody read it
        return Match(service, indicator.label, Stage.LOOKUP, Basis.OBSERVED, name, reached=False)
    return Match(service, indicator.label, Stage.of(indicator.stage), Basis.INFERRED, name, reached=True)


def _by_host(service: Service, indicator: Indicator, name: str, seen: Observation) -> Match:
    reached = _reached(seen)
    if seen.kind in LOOKUPS or not reached:
        return Match(service, indicator.label, Stage.LOOKUP, Basis.OBSERVED, name, reached)
    stage = Stage.of(indicator.stage)
    if seen.kind == "tls_certificate":  # the server was reached; which of its names was meant is not said
        return Match(service, indicator.label, min(stage, Stage.CONTACT), Basis.INFERRED, name, reached)
    basis = Basis(indicator.basis) if indicator.basis else Basis.OBSERVED if stage <= Stage.CONTACT else Basis.INFERRED
    if seen.kind == "http_request" and (stage <= Stage.VISIT or _unanswered(seen)):
        stage, basis = Stage.VISIT, Basis.OBSERVED
    if seen.name_inferred:
        basis = Basis.INFERRED
    return Match(service, indicator.label, stage, basis, name, reached)


def _reached(seen: Observation) -> bool:
    """Return whether anything of an access got to the server: a tunnel that was not opened carried nothing."""
    no_tunnel = seen.kind == "proxy_connect" and seen.status is not None and not 200 <= seen.status < 300
    return seen.action not in ("blocked", "challenged", "failed") and not no_tunnel


def _unanswered(seen: Observation) -> bool:
    """Return whether the log says that the service answered with an error, or (status 0) that no answer came."""
    return seen.status is not None and (seen.status >= 400 or seen.status == 0)


def _by_url(service: Service, indicator: Indicator, name: str, seen: Observation) -> Match:
    if not _reached(seen):
        return Match(service, indicator.label, Stage.LOOKUP, Basis.OBSERVED, name, reached=False)
    if _unanswered(seen):  # the service refused it, or never answered: a request was made, nothing is known to be done
        return Match(service, indicator.label, Stage.VISIT, Basis.OBSERVED, name, reached=True)
    stage = max(Stage.of(indicator.stage), Stage.VISIT)
    basis = Basis(indicator.basis) if indicator.basis else Basis.OBSERVED
    counts = basis is Basis.OBSERVED
    return Match(
        service,
        indicator.label,
        stage,
        basis,
        name,
        reached=True,
        counts_search=counts and stage is Stage.SEARCH and not indicator.polled,
        counts_upload=counts and stage is Stage.UPLOAD,
    )


def _host_of_url(url: str | None) -> str | None:
    if url is None or "//" not in url:
        return None
    try:
        return host_of(urlsplit(url).netloc)
    except ValueError:  # what a client asks for, "http://[" too, is the client's to choose
        return None


def _rank(match: Match) -> tuple[bool, bool, Stage, bool]:
    observed = match.basis is Basis.OBSERVED
    # What a known request did outweighs what its host alone suggests: the log-in page opened is no log-in.
    return match.reached, observed and match.indicator.startswith("url"), match.stage, observed


def _parents(name: str) -> Iterator[str]:
    _label, dot, rest = name.partition(".")
    while dot:
        yield rest
        _label, dot, rest = rest.partition(".")
