"""Lists of domains as people keep them: plain, hosts files, adblock filters, CSV; and what a catalog knows of their names.

References: hosts(5); https://adguard-dns.io/kb/general/dns-filtering-syntax/; RFC 4180.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sentinel.observation import host_name, host_of, ip_address
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.file import Case
from sentinel.signatures.matcher import Matcher
from sentinel.signatures.names import host_problem
from sentinel.signatures.selftest import observed
from sentinel.signatures.service import Indicator

How: TypeAlias = Literal["missing", "in part", "watched"]

LOCAL = frozenset({"localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost", "ip6-loopback"})
"""Names that hosts files begin with and that are nobody's site."""

LONGEST = 64 * 1024
"""Characters of a line; a longer one is none of a list of names."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A name of a list, canonical, and the line it stands on, counted from 1."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Unread:
    """A line that gives no name, and why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a catalog makes of a name: all of it is watched, or only something of it or below it, or nothing."""

    listed: Listed
    how: How
    services: tuple[str, ...] = ()


def names_in(lines: Iterable[str]) -> Iterator[Listed | Unread]:
    """Yield the names of a list, each once, and the lines that give none. Comments, empty lines and headers are passed over."""
    seen: set[str] = set()
    header = True  # the first line that is no comment may say what a CSV file's columns are
    for number, line in enumerate(lines, 1):
        text = line.lstrip("\ufeff").strip()
        if not text or text.startswith(("#", "!", ";", "[", "//")):
            continue
        for found in _read(text, number):
            if isinstance(found, Unread):
                if not (header and _cells(text)[1:]):
                    yield found
            elif found.name not in seen:
                seen.add(found.name)
                yield found
        header = False


def compare(catalog: Catalog, names: Iterable[Listed]) -> Iterator[Known]:
    """Yield what *catalog* makes of each name: what a handshake with it would match."""
    matcher, below = Matcher(catalog), _below(catalog)
    for one in names:
        matched = tuple(match.service.id for match in matcher.match(observed(Case(sni=one.name))))
        if matched:
            yield Known(one, "watched", matched)
        elif one.name in below:
            yield Known(one, "in part", tuple(sorted(below[one.name])))
        else:
            yield Known(one, "missing")


def _read(text: str, number: int) -> Iterator[Listed | Unread]:
    if len(text) > LONGEST:
        yield Unread(number, "the line is longer than any of a list of names")
        return
    if text.startswith(("@@", "/")) or "##" in text or "#@#" in text:
        yield Unread(number, "an exception, a pattern or what hides a part of a page names no domain to watch for")
        return
    text = text.partition(" #")[0].partition("\t#")[0]
    words = text.split()
    hosts_file = len(words) > 1 and ip_address(words[0]) is not None
    cells = words[1:] if hosts_file else _cells(text)
    found = [name for name in map(_name, cells) if name]
    for name in found if hosts_file else found[:1]:
        if name not in LOCAL:
            yield Listed(name, number)
    if not found:
        yield Unread(number, "no name of a site in it")


def _cells(text: str) -> list[str]:
    """Return the cells of a line of CSV (comma, semicolon or tab), the domain of an adblock filter, or the one word."""
    if text.startswith("||"):
        return [text[2:].partition("^")[0].partition("$")[0]]
    delimiter = max(",;\t", key=text.count)
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return [text]


def _name(cell: str) -> str | None:
    """Return the site that a cell names, as a name, URL or defanged; None when it is something else."""
    text = cell.strip().strip('"').replace("[.]", ".").replace("(.)", ".")
    authority = text.partition("://")[2].partition("/")[0] if "://" in text else text.partition("/")[0]
    name = host_of(authority.split("?")[0])
    name = host_name((name or "").removeprefix("*.").removeprefix("."))
    if name is None or ip_address(name) or (name not in LOCAL and host_problem(name)):
        return None
    return name


def _below(catalog: Catalog) -> dict[str, set[str]]:
    """Return, for each name that lies above what is watched or on which only requests are, the services."""
    found: dict[str, set[str]] = {}
    for service in catalog.services.values():
        for name in filter(None, map(_place, service.indicators)):
            while name:
                found.setdefault(name, set()).add(service.id)
                name = name.partition(".")[2]
    return found


def _place(indicator: Indicator) -> str:
    url = indicator.url
    pattern = indicator.host_pattern or (url.host_pattern if url else None) or ""
    return indicator.domain or indicator.host or (url.host if url else None) or pattern.rpartition("*")[2].partition(".")[2]
