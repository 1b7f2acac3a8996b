"""What a service file may say and should not: what would match other people, or say more of them than is known.

A file that cannot be right does not load (`file.py`). Here is what only a look at the whole catalog, or at what hosts are
used for, can tell. Whoever writes rules runs it; what an operator adds on a machine loads without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from sentinel.observation import Observation
from sentinel.problems import Problem
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.file import Case, IndicatorEntry, ServiceFile, UrlEntry
from sentinel.signatures.matcher import Matcher
from sentinel.signatures.names import is_platform
from sentinel.signatures.pattern import literal_start
from sentinel.signatures.reading import Read
from sentinel.signatures.selftest import observed
from sentinel.signatures.spelling import fixed_part
from sentinel.terms import Severity, Stage

SHARED = frozenset({
    "amazonaws.com", "apify.com", "api.apify.com", "apple.com", "azure.com", "baidu.com", "bing.com", "www.bing.com",
    "bitbucket.org", "cloudflare.com", "cloudfront.net", "cognitiveservices.azure.com", "api.cognitive.microsoft.com",
    "discord.com", "facebook.com", "github.com", "gitlab.com", "google.com", "www.google.com", "lens.google.com",
    "images.google.com", "googleapis.com", "greasyfork.org", "huggingface.co", "icloud.com", "instagram.com",
    "kagi.com", "linkedin.com", "medium.com", "microsoft.com", "nec.com", "npmjs.com", "opera.com", "pages.dev",
    "proton.me", "pypi.org", "rapidapi.com", "raw.githubusercontent.com", "real.com", "reddit.com", "so.com",
    "sogou.com", "t.me", "telegram.me", "telegram.org", "thalesgroup.com", "tiktok.com", "wikipedia.org",
    "wordpress.com", "x.com", "yahoo.com", "yandex.com", "yandex.ru", "youtube.com",
})  # fmt: skip
"""Hosts that serve so much else that being there tells nothing: only a path or query on them does."""

VERY_COMMON = frozenset(
    ("amazonaws.com", "apple.com", "bing.com", "github.com", "google.com", "microsoft.com", "yandex.com", "yandex.ru")
)
"""Of those, the ones that are in very many records."""

COMMON_WORDS = frozenset({
    "search", "reverse", "image", "images", "face", "faces", "facial", "recognition", "online", "finder", "people",
    "picture", "pictures", "visual", "cloud", "google", "yandex", "baidu", "microsoft", "amazon", "lookup", "services",
    "service", "system", "software",
})  # fmt: skip
"""Words that products are named with and that are nobody's brand."""

Found: TypeAlias = tuple[str, tuple[int | str, ...], str, str]
"""A service's id, where in its file, what is wrong, how to mend it."""


def lint(read: Read) -> list[Problem]:
    """Return everything that is to be mended in the files of *read*, with file and line, in that order."""
    found = [one for file in read.files.values() for one in _alone(file, read.paths[file.id])]
    problems = [read.problem(*one) for one in (*found, *_overlaps(read.files))]
    return sorted(problems, key=lambda one: (one.file, one.line))


def _alone(file: ServiceFile, path: Path) -> Iterator[Found]:
    if path.stem != file.id:
        yield file.id, ("id",), f"the file is not called {file.id}.yaml", "Name the file after the service's id."
    yield from _referred(file)
    yield from _weighed(file)
    if file.indicators and not (file.tests.match and file.tests.no_match):
        yield (
            file.id, ("tests",), "the file does not bring cases of both kinds",
            "Give what must match, and look-alikes that must not.",
        )  # fmt: skip
    for index, indicator in enumerate(file.indicators):
        for what, mend in (*_shared(indicator), *_brand(indicator, _brands(file)), *_hidden(indicator)):
            yield file.id, ("indicators", index), what, mend


def _referred(file: ServiceFile) -> Iterator[Found]:
    if not file.references:
        yield file.id, ("id",), "no reference says that these names are the service's own", "Add references: [https://…]."
    for index, reference in enumerate(file.references):
        if not re.match(r"https?://[^/\s]+\.[^/\s]+", reference):
            yield file.id, ("references", index), f"{reference!r} is no address that a reader could open", "Write https://…"


def _weighed(file: ServiceFile) -> Iterator[Found]:
    severity, at = Severity.of(file.severity), ("severity",)
    if file.category == "reverse-image" and severity > Severity.LOW and not any(map(_uploads, file.indicators)):
        yield (
            file.id, at, f"a reverse-image service of severity {file.severity} has no path that shows an upload or a search",
            "Everybody opens such pages: lower it to low, or add the url of an upload.",
        )  # fmt: skip
    if file.category in ("sanctioned", "visibility") and severity > Severity.INFO:
        yield file.id, at, f"a {file.category} service accuses nobody, and has the severity {file.severity}", "Write info."
    if file.confidence == "inferred" and severity > Severity.LOW:
        yield (
            file.id, at, f"the names are inferred, and have the severity {file.severity}",
            "Lower it to low, or find a source and say confidence: reported.",
        )  # fmt: skip
    if file.valid_from and file.valid_until and file.valid_until < file.valid_from:
        yield file.id, ("valid_until",), "the service ended before it began", "Swap the dates."


def _uploads(indicator: IndicatorEntry) -> bool:
    return indicator.url is not None and Stage.of(indicator.stage) >= Stage.UPLOAD


def _hidden(indicator: IndicatorEntry) -> Iterator[tuple[str, str]]:
    if indicator.secret and not (indicator.url and indicator.stage == "search"):
        yield "'secret' is said of something else than a search", "Keep it to a url of the stage search."


def _shared(indicator: IndicatorEntry) -> Iterator[tuple[str, str]]:
    name = indicator.domain or indicator.host or indicator.mail_from
    if name and name.removeprefix("www.") in SHARED:
        yield f"{name!r} serves much else: being there tells nothing", "Match a url on it, with a path or query."
    if indicator.url and (indicator.url.host or "").removeprefix("www.") in VERY_COMMON and not indicator.url.shared:
        yield (
            f"very many records name {indicator.url.host!r}, and each would have to be parsed",
            "Add shared: true, so that logs are searched for the path or query.",
        )


def _brands(file: ServiceFile) -> set[str]:
    words = re.split(r"[^a-z0-9]+", f"{file.id} {file.name}".lower())
    return {word for word in (*words, file.id.replace("-", "")) if len(word) >= 5 and word not in COMMON_WORDS}


def _brand(indicator: IndicatorEntry, brands: set[str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with an indicator that takes a word in somebody else's name, path or query for the service."""
    url, mend = indicator.url, "A word matches other people: name a host of the service's own, and a whole path on it."
    pattern = indicator.host_pattern or (url.host_pattern if url else None)
    if pattern and pattern != "*" and is_platform(fixed_part(pattern)) and indicator.basis != "inferred":
        yield f"{pattern!r} takes other people's names below {fixed_part(pattern)!r} for the service's", "Say basis: inferred."
    if url is None:
        return
    word = _held(brands, *_query(url))
    if word:
        yield f"the brand keyword {word!r} is looked for in a query, where people write what they search", mend
    regex = url.path_regex or ""
    word = _held(brands, regex)
    if word and word not in literal_start(regex).lower() and not _own(url, brands):
        yield f"the brand keyword {word!r} is looked for anywhere in a path", mend
    word = _held(brands, url.path or "") if url.host_pattern == "*" else None
    if word:
        yield f"the brand keyword {word!r} is looked for in the paths of every host", mend


def _query(url: UrlEntry) -> list[str]:
    return [url.query] if isinstance(url.query, str) else url.query or []


def _held(brands: set[str], *texts: str) -> str | None:
    return next((brand for brand in sorted(brands) for text in texts if brand in text.lower()), None)


def _own(url: UrlEntry, brands: set[str]) -> bool:
    """Return whether a url's host bears the brand itself: what its paths hold is then the service's own."""
    return _held(brands, url.host or fixed_part(url.host_pattern or "")) is not None


def _overlaps(files: Mapping[str, ServiceFile]) -> Iterator[Found]:
    """Yield what two services claim: whose a finding is would depend on which of them is looked at.

    The matcher itself says so, of a name or request made from each indicator, and of each case that must match.
    """
    matcher = Matcher(Catalog.of(file.service for file in files.values()))
    for file in files.values():
        made = ((("indicators", index), seen) for index, one in enumerate(file.indicators) for seen in _samples(one))
        given = ((("tests", "match", index), observed(case)) for index, case in enumerate(file.tests.match))
        told: set[str] = set()
        for where, seen in (*made, *given):
            for match in matcher.match(seen):
                if match.service.id != file.id and match.service.id not in told:
                    told.add(match.service.id)
                    said = f"{seen.url or seen.name!r} also matches the service {match.service.id!r} ({match.indicator})"
                    yield file.id, where, said, "Leave the name to one of them, or narrow the wider one to its own hosts."


def _samples(indicator: IndicatorEntry) -> Iterator[Observation]:
    """Yield something that the indicator matches; nothing for a path_regex, which its cases show."""
    url = indicator.url
    if url and url.path and url.host_pattern != "*":
        host = url.host or (url.host_pattern or "").replace("*", "x")
        query = "&".join(one + "x" if one.endswith("=") else one for one in _query(url))
        method = url.method[0] if isinstance(url.method, list) else url.method or "GET"
        yield observed(Case(url=f"{method} https://{host}{url.path}?{query}"))
    elif indicator.mail_from:
        yield observed(Case(mail_from=f"x@{indicator.mail_from}"))
    name = indicator.domain or indicator.host or (indicator.host_pattern or "").replace("*", "x")
    if name:
        yield observed(Case(sni=name))
