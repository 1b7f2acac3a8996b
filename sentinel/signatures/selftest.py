"""Runs the cases that service files bring, through the matcher that live traffic meets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sentinel.observation import Observation, host_of
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.file import Case, ServiceFile
from sentinel.signatures.matcher import Matcher

SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that does not give what it says: whose, where in the service's file, and what it gives instead."""

    service: str
    where: tuple[str | int, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Report:
    """How many cases there were, how many of them negative, and which failed."""

    cases: int
    negative: int
    failures: list[Failure]


def run_tests(files: Iterable[ServiceFile]) -> Report:
    """Run every case of every service file."""
    files = list(files)
    negative = sum(len(file.tests.no_match) for file in files)
    return Report(
        cases=negative + sum(len(file.tests.match) for file in files),
        negative=negative,
        failures=failures_of(files),
    )


def failures_of(files: Iterable[ServiceFile]) -> list[Failure]:
    """Return the cases that fail when all of *files* are one rule set."""
    files = list(files)
    matcher = Matcher(Catalog.of(file.service for file in files))
    return [
        Failure(file.id, ("tests", kind, index), said)
        for file in files
        for kind, failed, cases in (("match", _not_matched, file.tests.match), ("no_match", _matched, file.tests.no_match))
        for index, case in enumerate(cases)
        for said in failed(matcher, file.id, case)
    ]


def _not_matched(matcher: Matcher, service: str, case: Case) -> Iterator[str]:
    stages = [m.stage.word for m in matcher.match(observed(case)) if m.service.id == service]
    said = case.model_dump(exclude_none=True)
    if not stages:
        yield f"the case {said} does not match"
    elif case.stage and stages != [case.stage]:
        yield f"the case {said} gives the stage {stages[0]}"
    elif not scanned(matcher, case):
        yield f"the case {said} matches, but the scanner does not find it"


def _matched(matcher: Matcher, service: str, case: Case) -> Iterator[str]:
    if any(m.service.id == service for m in matcher.match(observed(case))):
        yield f"the case {case.model_dump(exclude_none=True)} matches, and must not"


def scanned(matcher: Matcher, case: Case) -> bool:
    """Return whether the scanner finds the case's own text."""
    text = case.dns or case.sni or case.connect or case.url or case.mail_from or ""
    return bool(matcher.scan(memoryview(text.encode()), "plain"))


def observed(case: Case) -> Observation:
    """Return the observation that a case stands for."""
    if case.dns is not None:
        return Observation(time=SOME_TIME, kind="dns_query", name=case.dns)
    if case.sni is not None:
        return Observation(time=SOME_TIME, kind="tls_client_hello", name=case.sni)
    if case.connect is not None:
        return Observation(time=SOME_TIME, kind="proxy_connect", name=host_of(case.connect))
    if case.mail_from is not None:
        return Observation(time=SOME_TIME, kind="mail", name=case.mail_from.rpartition("@")[2])
    method, _space, url = (case.url or "").rpartition(" ")
    parts = urlsplit(url)
    return Observation(
        time=SOME_TIME,
        kind="http_request",
        name=parts.hostname,
        method=method or "GET",
        url=url,
        path=parts.path or "/",
        query=parts.query or None,
    )
