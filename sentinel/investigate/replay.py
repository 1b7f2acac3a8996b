"""Replays logs and captures through the engine as one investigation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from sentinel.activity.exceptions import usage
from sentinel.activity.records import Alert
from sentinel.activity.sessions import GAP
from sentinel.coverage import Coverage
from sentinel.engine import Engine, Taken
from sentinel.extract import Extractor, Matched, Ruling
from sentinel.formats import mapping
from sentinel.investigate.found import Found
from sentinel.investigate.piece import Piece
from sentinel.investigate.result import Judged, Result
from sentinel.packets.ports import DNS_PORTS
from sentinel.policy.policy import Policy
from sentinel.signatures.catalog import Catalog
from sentinel.sources.archive import Archive
from sentinel.sources.places import files, size_of
from sentinel.store.step import Keeper

if TYPE_CHECKING:
    from sentinel.identity import Directory
    from sentinel.store.store import Store

HASHED_UP_TO = 64 * 1024 * 1024
"""Bytes. Without a case, larger inputs are not hashed: SHA-256 would take as long as the whole search."""

FINDINGS_A_COMMIT = 500

Progress = Callable[[str, int, int], None]
"""Told the input's path, the bytes read since the last call, and the findings so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What is asked, and how. Times are in UTC."""

    kind: Literal["logs", "pcap"]
    paths: Sequence[str]
    ruling: Ruling
    store: Keeper
    case: bool = False  # the store is kept: evidence, so every input is hashed
    gap: timedelta | None = None
    zone: str | None = None
    format: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    thorough: bool = False
    jobs: int = 1
    dns_ports: Collection[int] = DNS_PORTS  # where packets are DNS
    directory: Directory | None = None
    route: Callable[[Alert], Sequence[str]] = lambda _alert: ()


@dataclass(frozen=True, slots=True)
class _Job:
    """How one process reads: all it needs, and nothing that cannot be handed to it."""

    catalog: Catalog
    policy: Policy
    zone: str | None
    format: str | None
    within: tuple[datetime | None, datetime | None]
    thorough: bool
    digest: bool
    mappings: Sequence[Mapping[str, Any]]  # the user's own

    def extractor(self, ruling: Ruling) -> Extractor:
        """Return an extractor that has read nothing."""
        return Extractor(ruling, zone=self.zone, thorough=self.thorough, within=self.within)


def replay(inquiry: Inquiry, progress: Progress = lambda _path, _bytes, _hits: None) -> Result:
    """Read everything that was asked for, and return what was found and what could not be seen."""
    extractor = Extractor(inquiry.ruling)
    engine = Engine(
        extractor,
        inquiry.store,
        route=inquiry.route,
        gap=inquiry.gap or GAP,
        keep_sessions=True,
        directory=inquiry.directory,
    )
    job = _Job(
        catalog=inquiry.ruling.catalog,
        policy=inquiry.ruling.policy,
        zone=inquiry.zone,
        format=inquiry.format,
        within=(inquiry.since, inquiry.until),
        thorough=inquiry.thorough,
        digest=inquiry.case,
        mappings=mapping.own_specs(),
    )
    gathered = _Gathered(keep=not inquiry.case)
    if inquiry.case:  # what earlier replays found is judged by today's policy and identity
        gathered.alerts += engine.revise().alerts
    if inquiry.kind == "logs":
        pieces = _logs(inquiry, job)
    else:  # decoding packets needs cryptography, which takes a while to import
        from sentinel.investigate.captures import read_captures

        pieces = read_captures(
            inquiry.paths,
            job.extractor(inquiry.ruling),
            hashed_up_to=None if inquiry.case else HASHED_UP_TO,
            dns_ports=inquiry.dns_ports,
            jobs=inquiry.jobs,
        )
    for piece in pieces:
        if piece.matched or piece.ends:
            gathered.add(engine.commit(piece.matched, piece.coverage, {}), piece)
        progress(piece.coverage.path, piece.read, gathered.hits)
    gathered.alerts += engine.close(datetime.max.replace(tzinfo=UTC)).alerts
    result = gathered.result(inquiry, engine)
    if not inquiry.case:
        return result
    case = cast("Store", inquiry.store)  # what earlier replays into the same case found belongs to the answer
    findings, belongs = Found(case.each_finding()), case.belongs()
    return replace(result, findings=findings, belongs={finding: belongs[finding] for finding in findings.ids()})


class _Gathered:
    """What the pieces came to."""

    def __init__(self, *, keep: bool) -> None:
        """Keep findings, unless a case's store has them."""
        self.hits = 0
        self.alerts: list[Alert] = []
        self._keep = keep
        self._findings = Found()
        self._belongs: dict[str, str] = {}
        self._merged: dict[str, str] = {}
        self._coverage: list[Coverage] = []

    def add(self, taken: Taken, piece: Piece) -> None:
        """Add what one piece came to."""
        self.hits += len(taken.findings)
        self._merged |= taken.merged
        self.alerts += taken.alerts
        for finding in taken.findings if self._keep else ():
            self._findings.add(finding)
            self._belongs[finding.id] = taken.belongs[finding.id]
        if piece.ends:
            self._coverage.append(piece.coverage)

    def result(self, inquiry: Inquiry, engine: Engine) -> Result:
        """Return the inquiry's answer: sessions by start, findings by time, inputs by path."""
        policy = inquiry.ruling.policy
        return Result(
            ruleset=inquiry.ruling.catalog.digest,
            sessions=sorted(engine.sessions.all(), key=lambda s: (s.started, s.service, s.id)),
            findings=self._findings,
            belongs={finding: self._home(self._belongs[finding]) for finding in self._findings.ids()},
            coverage=sorted(self._coverage, key=lambda one: one.path),
            judged=Judged(self.alerts, usage(policy, engine.sessions.all(), inquiry.directory)) if policy != Policy() else None,
        )

    def _home(self, session: str) -> str:
        while session in self._merged:
            session = self._merged[session]
        return session


def _logs(inquiry: Inquiry, job: _Job) -> Iterator[Piece]:
    paths = files(inquiry.paths)
    if inquiry.jobs == 1 or len(paths) < 2:
        for path in paths:
            yield from _read_log(path, job, inquiry.ruling)
        return
    import multiprocessing

    # Spawned, not forked: the scanner's and the store's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(inquiry.jobs, len(paths)), _prepare, (job,)) as pool:
        for pieces in pool.imap(_in_process, paths):
            yield from pieces


def _read_log(path: str, job: _Job, ruling: Ruling) -> Iterator[Piece]:
    """Read one file, which may be an archive with many inputs, each with an extractor of its own."""
    digest = path != "-" and (job.digest or size_of(path) <= HASHED_UP_TO)
    archive = Archive(path, format=job.format, zone=job.zone, digest=digest)
    extractor = job.extractor(ruling)
    waiting: list[Matched] = []
    inputs: list[Coverage] = []
    told = 0
    for batch in archive.batches():
        matched, _position = extractor.take(batch)
        waiting += matched
        coverage = extractor.coverage_of(batch.input)
        if batch.ends or len(waiting) >= FINDINGS_A_COMMIT:
            if batch.ends:
                inputs.append(coverage)
            yield Piece(coverage, waiting, archive.stored_read - told, ends=False)
            told, waiting = archive.stored_read, []
        elif archive.stored_read - told > HASHED_UP_TO:
            yield Piece(coverage, (), archive.stored_read - told, ends=False)
            told = archive.stored_read
        if batch.ends:
            extractor = job.extractor(ruling)
    for coverage in inputs:
        coverage.sha256 = archive.sha256
        yield Piece(coverage, (), 0, ends=True)


_worker: tuple[_Job, Ruling] | None = None


def _prepare(job: _Job) -> None:
    global _worker  # a process of the pool has one job for its whole life
    mapping.register(job.mappings, "command")
    _worker = (job, Ruling.of(job.catalog, job.policy))


def _in_process(path: str) -> list[Piece]:
    assert _worker is not None
    return list(_read_log(path, *_worker))
