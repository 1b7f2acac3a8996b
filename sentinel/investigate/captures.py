"""Reads captures for a replay, as one stream of packets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime

from sentinel.coverage import Coverage
from sentinel.extract import Extractor
from sentinel.investigate.piece import Piece
from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.seen import Seen
from sentinel.sources.capture import CaptureReader, in_order
from sentinel.sources.places import files, size_of

PACKETS_A_COMMIT = 2000
BYTES_A_PIECE = 64 * 1024 * 1024


def read_captures(
    paths: Sequence[str], extractor: Extractor, *, hashed_up_to: int | None, dns_ports: Collection[int]
) -> Iterator[Piece]:
    """Read captures in the order of their first packets with one decoder: a hello may begin in one file and end in the next."""
    decoder = Decoder(dns_ports)
    book = FlowBook(decoder.resolved, extractor.ruling.wants)
    ordered = in_order(files(paths))
    for path in ordered:
        digest = hashed_up_to is None or size_of(path) <= hashed_up_to
        reader = CaptureReader(path, decoder, digest=digest, book=book)
        coverage = Coverage(path=path, format="capture", sure=1.0, sampled=False)
        waiting: list[Seen] = []
        told = 0
        try:
            for seen in reader.seen():
                waiting += seen
                if len(waiting) >= PACKETS_A_COMMIT or reader.stored_read - told > BYTES_A_PIECE:
                    yield Piece(
                        coverage, extractor.take_packets(coverage, waiting, _now()), reader.stored_read - told, ends=False
                    )
                    told, waiting = reader.stored_read, []
        except OSError as error:
            coverage.complete = False
            coverage.note(f"cannot be read: {error.strerror}")
        if path == ordered[-1]:
            waiting += [*decoder.finish(), *book.finish()]
        matched = extractor.take_packets(coverage, waiting, _now())
        _account(coverage, reader, decoder)
        yield Piece(coverage, matched, reader.stored_read - told, ends=True)


def _account(coverage: Coverage, reader: CaptureReader, decoder: Decoder) -> None:
    """Write down what was read of a capture: every packet is a record."""
    coverage.bytes = reader.bytes
    coverage.records = coverage.parsed = reader.packets
    coverage.sha256 = reader.sha256
    for time in (reader.first, reader.last):
        if time is not None:
            coverage.saw(time)
    coverage.complete = coverage.complete and reader.complete
    for loss in reader.losses:
        coverage.note(f"offset {loss.offset}: {loss.reason}")
    for what, count in sorted(decoder.noteworthy().items()):
        coverage.note(f"{what}: {count}")
    coverage.complete = coverage.complete and not decoder.lost()


def _now() -> datetime:
    return datetime.now(UTC)
