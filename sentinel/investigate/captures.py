"""Reads captures for a replay, as one stream of packets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sentinel.coverage import Coverage
from sentinel.extract import Extractor, Matched
from sentinel.investigate.piece import Piece
from sentinel.investigate.streams import Ended, Manner, Step, numbered, steps
from sentinel.packets.decoder import LOST, WORDS, Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.seen import Seen
from sentinel.packets.sieve_intake import Reading
from sentinel.packets.strainer import Passed, Sent
from sentinel.sources.capture import SEED, CaptureReader
from sentinel.sources.places import files, size_of

PACKETS_A_COMMIT = 2000
BYTES_A_PIECE = 64 * 1024 * 1024

NUMBER_AT = 40
"""Bits of a packet's number; those above are the number of its capture."""


def read_captures(
    paths: Sequence[str], extractor: Extractor, *, hashed_up_to: int | None, dns_ports: Collection[int], jobs: int = 1
) -> Iterator[Piece]:
    """Read captures as one stream, in the order of time, decoded once: a hello may begin in one file and end in the next.

    Args:
        paths: The captures.
        extractor: Turns what they show into findings.
        hashed_up_to: The size in bytes up to which a capture's SHA-256 is taken; None: of all.
        dns_ports: Where DNS is spoken.
        jobs: How many processes read, when there are several captures.
    """
    found = files(paths)

    def digest(path: str) -> bool:
        return hashed_up_to is None or size_of(path) <= hashed_up_to

    if len(found) == 1:
        yield from _read_one(found[0], extractor, digest(found[0]), dns_ports)
    elif found:
        captures = numbered(found, digest)
        manner = Manner(frozenset(dns_ports), extractor.ruling.matcher.concern(), SEED)
        yield from _Merging([one.path for one in captures], extractor, dns_ports).pieces(steps(captures, manner, jobs))


def _read_one(path: str, extractor: Extractor, digest: bool, dns_ports: Collection[int]) -> Iterator[Piece]:
    decoder = Decoder(dns_ports, concerns=extractor.ruling.matcher.concern())
    book = FlowBook(decoder.resolved, extractor.ruling.wants)
    reader = CaptureReader(path, decoder, digest=digest, book=book)
    coverage = _coverage(path)
    waiting: list[Seen] = []
    told = 0
    error = None
    try:
        for seen in reader.seen():
            waiting += seen
            if len(waiting) >= PACKETS_A_COMMIT or reader.stored_read - told > BYTES_A_PIECE:
                yield Piece(coverage, extractor.take_packets(coverage, waiting, _now()), reader.stored_read - told, ends=False)
                told, waiting = reader.stored_read, []
    except OSError as refused:
        error = refused.strerror or str(refused)
    waiting += [*decoder.finish(), *book.finish()]
    matched = extractor.take_packets(coverage, waiting, _now())
    _account(coverage, Ended.of(reader, error), decoder.counters)
    yield Piece(coverage, matched, reader.stored_read - told, ends=True)


class _Merging:
    """Decodes what comes of several captures, and keeps an account of each."""

    def __init__(self, paths: Sequence[str], extractor: Extractor, dns_ports: Collection[int]) -> None:
        """Start with nothing read. *paths* are the captures by number."""
        self._extractor = extractor
        self._decoder = Decoder(dns_ports, concerns=extractor.ruling.matcher.concern())
        self._book = FlowBook(self._decoder.resolved, extractor.ruling.wants)
        self._coverage = [_coverage(path) for path in paths]
        self._counters: list[Counter[str]] = [Counter() for _ in paths]
        self._counted: Counter[str] = Counter()  # what was charged to a capture
        self._ended: dict[int, Ended] = {}

    def pieces(self, every: Iterator[Step]) -> Iterator[Piece]:
        """Yield what the *every* step of the captures comes to."""
        reading = Reading(self._decoder, self._book)
        found: list[Seen] = []
        stored = [0] * len(self._coverage)  # bytes that were read of each
        told = [0] * len(self._coverage)
        current = 0
        for step in every:
            number, what = step.number, step.what
            if number != current:
                self._charge(current)
                current = number
            if isinstance(what, Passed):
                reading.packet(what, found, number << NUMBER_AT)
            elif isinstance(what, Sent):
                reading.sent(what, number << NUMBER_AT)
            elif isinstance(what, Ended):
                self._ended[number] = what
                stored[number] = what.stored_read
            else:
                found += self._book.ended(step.time)
                stored[number] = what.stored
                if len(found) >= PACKETS_A_COMMIT or stored[number] - told[number] > BYTES_A_PIECE:
                    yield Piece(self._coverage[number], self._matched(found), stored[number] - told[number], ends=False)
                    told[number] = stored[number]
                    found.clear()
        found += [*self._decoder.finish(), *self._book.finish()]
        self._charge(current)
        matched = self._matched(found)
        for number, coverage in enumerate(self._coverage):
            counters = self._counters[number]
            counters["truncated"] = self._ended[number].cut
            _account(coverage, self._ended[number], counters)
            yield Piece(coverage, matched, stored[number] - told[number], ends=True)
            matched = []

    def _matched(self, found: Sequence[Seen]) -> list[Matched]:
        """Return the findings in *found*, each told from the capture that holds its packet."""
        of_captures: dict[int, list[Seen]] = {}
        for one in found:
            number = one.frame >> NUMBER_AT
            of_captures.setdefault(number, []).append(replace(one, frame=one.frame - (number << NUMBER_AT)))
        matched: list[Matched] = []
        for number, seen in of_captures.items():
            matched += self._extractor.take_packets(self._coverage[number], seen, _now())
        return matched

    def _charge(self, number: int) -> None:
        """Charge what was counted since the last call to a capture."""
        counters = self._decoder.counters
        for name, count in counters.items():
            self._counters[number][name] += count - self._counted[name]
        self._counted = Counter(counters)


def _coverage(path: str) -> Coverage:
    return Coverage(path=path, format="capture", sure=1.0, sampled=False)


def _account(coverage: Coverage, ended: Ended, counters: Mapping[str, int]) -> None:
    """Write down what was read of a capture: every packet is a record."""
    coverage.bytes = ended.bytes
    coverage.records = coverage.parsed = ended.packets
    coverage.sha256 = ended.sha256
    for time in (ended.first, ended.last):
        if time is not None:
            coverage.saw(time)
    if ended.error is not None:
        coverage.note(f"cannot be read: {ended.error}")
    for loss in ended.losses:
        coverage.note(f"offset {loss.offset}: {loss.reason}")
    for name, count in sorted(counters.items(), key=lambda item: WORDS.get(item[0], "")):
        if name in WORDS and count:
            coverage.note(f"{WORDS[name]}: {count}")
    lost = any(counters.get(name, 0) for name in LOST)
    coverage.complete = coverage.complete and ended.error is None and not ended.losses and not lost


def _now() -> datetime:
    return datetime.now(UTC)
