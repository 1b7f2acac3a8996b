"""From a batch of records to findings: scan, parse the candidates, match. Nothing is kept or sent here.

The engine runs this in its own thread; a replay over several cores runs one in each process.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from typing import Any, get_args

import stringzilla as sz

from sentinel.activity.infer import by_size
from sentinel.activity.records import Finding, Origin
from sentinel.activity.sessions import ServiceFacts, digest
from sentinel.coverage import Coverage
from sentinel.formats import named
from sentinel.formats.clock import StreamClock, zone_of
from sentinel.formats.detect import candidates, detect
from sentinel.formats.format import LogFormat, Malformed, Spelling
from sentinel.formats.reader import Reader
from sentinel.observation import Observation
from sentinel.packets.capture import is_capture
from sentinel.packets.seen import Seen
from sentinel.policy.policy import Policy
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.matcher import Match, Matcher
from sentinel.signatures.service import Service
from sentinel.sources.batch import Batch, Cuts, Input
from sentinel.terms import Stage

DETECT_FROM = 200
"""How many records decide the format of an input."""

LARGE = 900 * 1024
"""Bytes of a batch after which another one surely follows, whose first record serves for this one's last."""

SAMPLE_EVERY = 8 * 1024 * 1024
"""Of large batches, one record in so many bytes is parsed as a sample."""

REPEATS = 10_000
"""Records of an input that are remembered, to number equal ones of a connection."""

WIDEST: Spelling = "json"
"""How an input whose format cannot be told is scanned: with the needles of a spelling that holds the plain ones too."""

PACKETS = "packets/1"

WITHHELD = "not told, since it holds an address that policy excludes from monitoring"
"""In place of the reason why a record could not be parsed, which may quote it."""


@dataclass(frozen=True, slots=True)
class Matched:
    """A finding, and what it counts for."""

    finding: Finding
    search: bool
    upload: bool


@dataclass(frozen=True, slots=True)
class Ruling:
    """The rules and the policy in force, compiled; replaced as a whole on reload."""

    catalog: Catalog
    policy: Policy
    matcher: Matcher
    facts: Mapping[str, ServiceFacts]

    @classmethod
    def of(cls, catalog: Catalog, policy: Policy) -> Ruling:
        """Compile rules and policy. Sanctioned services whose hosts the policy gives become services of their own.

        Raises:
            Problems: A host of the policy is not one, or belongs to another service.
        """
        full = catalog.with_services(_own_services(policy)) if policy.own_hosts() else catalog
        facts = {service.id: ServiceFacts.of(service) for service in full.services.values()}
        return cls(full, policy, Matcher(full), facts)

    def excludes(self, seen: Observation) -> bool:
        """Return whether *seen* is about an address that policy excludes from monitoring, as client, server or answer."""
        return self.policy.excludes(seen.client, seen.server, *seen.answers) if self.policy.exclusions else False

    def wants(self, seen: Observation) -> bool:
        """Return whether *seen* becomes a finding."""
        return any(match.kept for match in self.matcher.match(seen))


@dataclass(slots=True)
class _Stream:
    """What is kept of an input between its batches."""

    coverage: Coverage
    reader: Reader
    format: LogFormat | None = None
    unsampled: int = SAMPLE_EVERY  # bytes since the last sample was taken
    repeats: OrderedDict[tuple[int, bytes], int] = field(default_factory=OrderedDict)

    def due(self, size: int) -> bool:
        """Return whether a batch of *size* bytes, the next, gives a sample of its beginning."""
        self.unsampled += size
        if size > LARGE and self.unsampled < SAMPLE_EVERY:
            return False
        self.unsampled = 0
        return True

    def repeated(self, connection: int, sha256: bytes) -> int:
        """Return how often the record of this digest came over the connection before."""
        count = self.repeats.pop((connection, sha256), -1) + 1
        self.repeats[connection, sha256] = count
        if len(self.repeats) > REPEATS:
            self.repeats.popitem(last=False)
        return count


class Extractor:
    """Turns batches into findings and keeps account of what was read."""

    def __init__(
        self,
        ruling: Ruling,
        *,
        zone: str | None = None,
        thorough: bool = False,
        within: tuple[datetime | None, datetime | None] = (None, None),
        positions: Mapping[str, Any] | None = None,
    ) -> None:
        """Start with no input read.

        Args:
            ruling: Rules and policy, compiled.
            zone: IANA name of the zone of times that carry none; None: the machine's.
            thorough: Parse every record instead of the candidates and a sample.
            within: Event times (UTC), from (inclusive) and until (exclusive), outside of which findings are not of interest.
            positions: How far each input had been read, by key, as `take` gave it.
        """
        self.ruling = ruling
        self._zone = zone
        self._thorough = thorough
        self._since, self._until = within
        self._positions = positions or {}
        self._streams: dict[str, _Stream] = {}

    def coverage(self) -> list[Coverage]:
        """Return what was read of each input so far."""
        return [stream.coverage for stream in self._streams.values()]

    def coverage_of(self, source: Input) -> Coverage:
        """Return what was read of one input so far."""
        return self._stream(source).coverage

    def take(self, batch: Batch) -> tuple[list[Matched], Mapping[str, Any]]:
        """Return what one batch of log records yields, and the position after it."""
        stream = self._stream(batch.input)
        coverage = stream.coverage
        for loss in batch.losses:
            coverage.complete = False
            coverage.note(f"offset {loss.offset}: {loss.reason}")
            if loss.length:
                coverage.bytes += loss.length
                coverage.records += 1
                coverage.unparsed += 1
        if stream.format is None and len(batch.data):
            self._detect(stream, batch)
            coverage.complete = coverage.complete and stream.format is not None
        if batch.probe is not None:
            stream.reader.learn(batch.probe())
        matched = list(self._matched(stream, batch))
        coverage.bytes += len(batch.data)
        coverage.records += len(batch.cuts.starts) if batch.cuts else lines_in(batch.data)
        if batch.ends:
            for sentence in stream.reader.assumptions():
                coverage.note(sentence)
        known = stream.format.name if stream.format else None
        return matched, {"source": dict(batch.position), "reader": stream.reader.state(), "format": known}

    def take_packets(self, coverage: Coverage, seen: Iterable[Seen], arrived: datetime) -> list[Matched]:
        """Return what packets yield. Times need no zone, and every packet was decoded: nothing is sampled."""
        matched = []
        frame, nth = 0, 0
        for one in seen:
            # One packet may complete several requests: they are told apart by their order in it.
            frame, nth = one.frame, nth + 1 if one.frame == frame else 0
            coverage.saw(one.observation.time)
            for match in self._hits(coverage, one.observation):
                origin = Origin(path=one.path or coverage.path, frame=one.frame)
                # What a connection is told beside depends on how the capture comes in; its time tells it apart.
                place = 0 if one.observation.kind == "flow" else nth
                identity = f"{one.observation.time.isoformat()}|{one.frame}|{place}"
                matched.append(self._finding(match, one.observation, one.packet, origin, identity, PACKETS, arrived))
        return matched

    def _stream(self, source: Input) -> _Stream:
        stream = self._streams.get(source.key)
        if stream is None:
            stream = self._streams[source.key] = self._opened(source)
        stream.coverage.path = source.path
        if source.modified is not None:
            stream.reader.clock.written_until(source.modified)  # a followed file grows
        return stream

    def _opened(self, source: Input) -> _Stream:
        kept = self._positions.get(source.key, {})
        chosen = named(source.format or kept.get("format") or "")
        reader = Reader(chosen, StreamClock(zone_of(source.zone or self._zone), source.modified))
        if kept.get("reader"):
            reader.restore(kept["reader"])
        coverage = Coverage(path=source.path, sampled=not self._thorough)
        if chosen:
            coverage.format, coverage.sure = chosen.name, 1.0
        return _Stream(coverage, reader, chosen)

    def _detect(self, stream: _Stream, batch: Batch) -> None:
        records = first_records(batch.data)
        ranked = detect(records)
        coverage = stream.coverage
        if ranked:
            stream.format, sure = ranked[0]
            stream.reader.use(stream.format)
            coverage.format, coverage.sure = stream.format.name, round(sure, 2)
            coverage.notes = [note for note in coverage.notes if not note.startswith("format not understood")]
        else:
            if is_capture(bytes(batch.data[:4])):
                coverage.note("this is a capture of packets: read it with 'sentinel replay pcap'")
            maybe = ", ".join(f"{log_format.name} ({score:.0%})" for log_format, score in candidates(records)[:3])
            coverage.note("format not understood" + (f"; closest: {maybe}" if maybe else ""))

    def _matched(self, stream: _Stream, batch: Batch) -> Iterator[Matched]:
        coverage = stream.coverage
        for where, record, raw, hit in self._chosen(stream, batch):
            try:
                observations = stream.reader.parse(record)
            except Malformed as error:
                reason = str(error) if not self.ruling.policy.mentions_excluded(raw) else WITHHELD
                coverage.refused(where, reason)
                if hit and self._watched(record, stream):
                    coverage.complete = False
                    coverage.note(f"the record at offset {where} holds a watched name and could not be parsed: {reason}")
                continue
            coverage.parsed += 1
            place = str(where)
            if hit and batch.connection is not None:
                place = f"sent {stream.repeated(batch.connection, hashlib.sha256(raw).digest())}"
            for nth, observation in enumerate(observations):
                coverage.saw(observation.time)
                for match in self._hits(coverage, observation) if hit else ():
                    origin = Origin(path=batch.input.path, offset=where)
                    at = "" if batch.connection is None else f"|{observation.time.isoformat()}"
                    # A mail to several people is one record, and a finding for each of them.
                    identity = f"{batch.input.key}|{place}{at}" + (f"|{nth}" if nth else "")
                    yield self._finding(match, observation, raw, origin, identity, stream.reader.parser, batch.arrived)

    def _watched(self, record: bytes, stream: _Stream) -> bool:
        """Return whether a record that no format reads spells a watched name; a header's needle alone is none."""
        spelling = stream.format.spelling if stream.format else WIDEST
        return bool(self.ruling.matcher.scan(memoryview(record), spelling))

    def _hits(self, coverage: Coverage, seen: Observation) -> Iterator[Match]:
        """Yield the matches that become findings. What blinds us is counted, and nothing is kept of it.

        Of an address that policy excludes from monitoring nothing is yielded; that something was dropped is counted.
        """
        if (self._since and seen.time < self._since) or (self._until and seen.time >= self._until):
            return
        matches = self.ruling.matcher.match(seen)
        if matches and self.ruling.excludes(seen):
            coverage.excluded += any(match.kept for match in matches)
            return
        for match in matches:
            if match.kept:
                yield match
            elif match.service.category == "visibility" and match.service.blinds != "nothing":
                coverage.unreadable[match.service.blinds or "other"] += 1

    def _finding(
        self, match: Match, seen: Observation, raw: bytes, origin: Origin, identity: str, parser: str, arrived: datetime
    ) -> Matched:
        sha256 = hashlib.sha256(raw).hexdigest()
        finding = Finding(
            id="fi_" + digest(identity, sha256, match.service.id, seen.kind),
            observation=seen,
            service=match.service.id,
            category=match.service.category,
            indicator=match.indicator,
            stage=match.stage,
            basis=match.basis,
            name=match.name,
            origin=origin,
            raw=bytes(raw),
            sha256=sha256,
            parser=parser,
            ruleset=self.ruling.catalog.digest,
            arrived=arrived,
            reached=match.reached,
        )
        sized = by_size(finding, match.service)
        sent = sized.stage is Stage.UPLOAD and sized.stage > finding.stage  # a photo that only its size tells
        return Matched(sized, match.counts_search, match.counts_upload or sent)

    def _chosen(self, stream: _Stream, batch: Batch) -> Iterator[tuple[int, bytes, bytes, bool]]:
        """Yield the records worth parsing: where they lie, what to parse, their own bytes, and whether to match them.

        The first record of a batch (of large ones: of some), and the last of a small one such as a file's last, are parsed as a
        sample: they give the time span, and show a log that is not what it was taken for.
        """
        data = batch.data
        if not len(data):
            return
        if batch.cuts is not None:
            yield from self._cut(stream, data, batch.cuts, batch.input)
            return
        if self._thorough:
            for offset, record in records_in(data):
                yield batch.offset + offset, record, record, True
            return
        hits = {_start(data, end - 1) for end in self._ends(stream, data, batch.input)}
        sample = self._sample(stream, data, lambda: _start(data, len(data) - 1))
        for offset in self._in_order(stream, data, hits, sample, lambda at: _start(data, at)):
            record = _record(data, offset)
            yield batch.offset + offset, record, record, offset in hits

    def _cut(self, stream: _Stream, data: memoryview, cuts: Cuts, source: Input) -> Iterator[tuple[int, bytes, bytes, bool]]:
        """Yield the records of a container, as `_chosen` does."""
        last = len(cuts.starts) - 1
        if self._thorough:
            hits = set(range(last + 1))
        else:
            found = ((bisect_right(cuts.starts, end - 1) - 1, end) for end in self._ends(stream, data, source))
            hits = {nth for nth, end in found if nth >= 0 and end <= cuts.ends[nth]}
        sample = self._sample(stream, data, lambda: last)
        for nth in self._in_order(stream, data, hits, sample, lambda at: bisect_right(cuts.starts, at) - 1):
            record = bytes(data[cuts.starts[nth] : cuts.ends[nth]])
            yield cuts.places[nth], record, cuts.raws[nth] if cuts.raws else record, nth in hits

    def _ends(self, stream: _Stream, data: memoryview, source: Input) -> Iterable[int]:
        """Return the offsets just behind what the scanner finds: names in the format's spelling, of a mixed input in any."""
        chosen = stream.format
        starts = chosen.header_starts if chosen else ()
        spelling = chosen.spelling if chosen else WIDEST
        spellings: tuple[Spelling, ...] = get_args(Spelling) if source.mixed else (spelling,)
        return {end for spelling in spellings for end in self.ruling.matcher.scan(data, spelling, starts)}

    @staticmethod
    def _sample(stream: _Stream, data: memoryview, last: Callable[[], int]) -> set[int]:
        sample = {0} if stream.due(len(data)) else set()
        if len(data) <= LARGE:
            sample.add(last())
        return sample

    def _in_order(
        self, stream: _Stream, data: memoryview, hits: set[int], sample: set[int], holding: Callable[[int], int]
    ) -> Iterator[int]:
        """Yield the records to be parsed in their order, with those that go on with what an earlier one of them began.

        Those become *hits* as well. *holding* tells which record holds a byte.
        """
        waiting = sorted(hits | sample)
        begun: frozenset[bytes] = frozenset()
        before = -1
        while True:
            follows = stream.reader.follows()
            for needle in follows - begun:
                later = {found for at in _places(data, needle) if (found := holding(at)) > before} - hits
                hits |= later
                for found in later:
                    heappush(waiting, found)
            begun = follows
            while waiting and waiting[0] <= before:
                heappop(waiting)
            if not waiting:
                return
            before = heappop(waiting)
            yield before


def _own_services(policy: Policy) -> list[Service]:
    from sentinel.signatures.reading import sanctioned_service  # it checks names as files are checked, and that loads slowly

    return [sanctioned_service(service, name, hosts) for service, (name, hosts) in policy.own_hosts().items()]


def placed(batch: Batch) -> Iterator[tuple[int, bytes]]:
    """Yield every record of a batch with the place where it lies."""
    if batch.cuts is None:
        for offset, record in records_in(batch.data):
            yield batch.offset + offset, record
        return
    for start, end, place in zip(batch.cuts.starts, batch.cuts.ends, batch.cuts.places, strict=True):
        yield place, bytes(batch.data[start:end])


def lines_in(data: memoryview) -> int:
    """Return how many records *data* holds; the last one may lack its newline."""
    if not len(data):
        return 0
    return int(sz.Str(data).count("\n")) + (data[-1] != ord("\n"))


def _places(data: memoryview, needle: bytes) -> Iterator[int]:
    """Yield where *needle* stands in *data*."""
    text = sz.Str(data)
    at = text.find(needle.decode())
    while at >= 0:
        yield at
        at = text.find(needle.decode(), at + 1)


def _start(data: memoryview, at: int) -> int:
    """Return where the record that holds the byte *at* begins."""
    reach = 4096
    while True:
        begin = max(0, at - reach)
        found = bytes(data[begin:at]).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        if begin == 0:
            return 0
        reach *= 8


def _record(data: memoryview, start: int) -> bytes:
    """Return the record that begins at *start*, without its line end."""
    reach = 4096
    while True:
        piece = bytes(data[start : start + reach])
        end = piece.find(b"\n")
        if end >= 0:
            return piece[:end].removesuffix(b"\r")
        if start + reach >= len(data):
            return piece.removesuffix(b"\r")
        reach *= 8


def records_in(data: memoryview) -> Iterator[tuple[int, bytes]]:
    """Yield every record of *data* with its offset."""
    offset = 0
    for line in bytes(data).split(b"\n"):
        if offset < len(data):
            yield offset, line.removesuffix(b"\r")
        offset += len(line) + 1


def first_records(data: memoryview, most: int = DETECT_FROM) -> list[bytes]:
    """Return the first records of *data*, at the most so many."""
    head = bytes(data[: most * 4096])
    return [line.removesuffix(b"\r") for line in head.split(b"\n")[:most] if line]
