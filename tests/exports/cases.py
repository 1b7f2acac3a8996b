"""What the tests of exports ask the tools, and what Sentinel itself says to it.

The names and requests are those of the catalog's own cases, wanted and unwanted, and some made from them: with a label before,
with letters before, and with another domain behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from urllib.parse import urlsplit

from sentinel.observation import Observation, host_of, ip_address
from sentinel.signatures import exports
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.exports.entry import Entry
from sentinel.signatures.exports.target import DETECTED, Export, export
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.matcher import Matcher
from sentinel.signatures.names import is_host_name
from sentinel.signatures.reading import Read, read_files

MADE = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)


@cache
def rules() -> Read:
    """Return the built-in service files."""
    return read_files([builtin_rules()])


@cache
def catalog() -> Catalog:
    """Return the built-in catalog."""
    return rules().catalog


@cache
def exported(name: str) -> Export:
    """Return the built-in catalog as the target *name* has it."""
    return export(exports.target(name), catalog(), MADE)


def text(name: str, file: str | None = None) -> str:
    """Return one file of an export, the main one unless another is named."""
    files = exported(name).files
    return files[file or next(iter(files))]


@cache
def said(name: str) -> Matcher:
    """Return a matcher for what an export says that it holds: the exported categories without what it left out."""
    left = {entry.key for one in exported(name).about.left for entry in one.entries}
    services = [
        replace(service, indicators=tuple(one for one in service.indicators if Entry(service, one).key not in left))
        for service in catalog().services.values()
        if service.category in DETECTED
    ]
    return Matcher(Catalog.of(services))


@cache
def names() -> tuple[str, ...]:
    """Return host names: of the cases, of the indicators, and look-alikes of both."""
    found = set()
    for file in rules().files.values():
        for case in (*file.tests.match, *file.tests.no_match):
            url = (case.url or "").rpartition(" ")[2]
            found.add(case.dns or case.sni or host_of(case.connect or "") or urlsplit(url).hostname or "")
    for service in catalog().services.values():
        for one in service.indicators:
            name = one.domain or one.host or (one.host_pattern or "").replace("*", "x")
            if service.category in DETECTED and name:
                found |= {name, f"a.{name}", f"b.c.{name}", f"not{name}", f"{name}.example.org"}
    found = {one.lower().removesuffix(".") for one in found}
    return tuple(sorted(name for name in found if is_host_name(name) and not ip_address(name)))


@cache
def requests() -> tuple[tuple[str, str], ...]:
    """Return methods and URLs: of the cases, and look-alikes of them."""
    found = set()
    for file in rules().files.values():
        for case in (*file.tests.match, *file.tests.no_match):
            if case.url:
                method, _space, url = case.url.rpartition(" ")
                found |= {(method or "GET", one) for one in (url, f"{url}x", f"{url}/more", f"https://news.example/?u={url}")}
    return tuple(sorted(found))


def looked_up(name: str) -> Observation:
    """Return the look-up of a name."""
    return Observation(time=MADE, kind="dns_query", name=name)


def requested(method: str, url: str) -> Observation:
    """Return a request as a proxy logs it that sees the whole URL."""
    parts = urlsplit(url)
    path, query = parts.path or "/", parts.query or None
    return Observation(time=MADE, kind="http_request", name=parts.hostname, method=method, url=url, path=path, query=query)


def mailed(sender: str) -> Observation:
    """Return a mail from *sender*."""
    return Observation(time=MADE, kind="mail", name=sender.rpartition("@")[2])


def services(matcher: Matcher, seen: Observation) -> set[str]:
    """Return the services that Sentinel finds."""
    return {match.service.id for match in matcher.match(seen)}


def known(name: str, wanted: Sequence[str]) -> set[str]:
    """Return those of the host names *wanted* that Sentinel finds by what the export *name* holds."""
    return {one for one in wanted if services(said(name), looked_up(one))}
