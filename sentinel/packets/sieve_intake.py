"""A capture's packets on their way to the decoder: all are counted, few are looked at."""

from __future__ import annotations

from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.records import Records
from sentinel.packets.seen import Seen
from sentinel.packets.sieve import Sieve


class Intake:
    """Takes the records of one capture.

    `packets`: how many were counted so far. `earliest` and `latest`: the times of the first and last of them, in ns since 1970.
    """

    def __init__(self, decoder: Decoder, *, seed: int = 0, book: FlowBook | None = None) -> None:
        """Start with no packet counted.

        Args:
            decoder: Who takes what comes through the sieve.
            seed: As for the `Sieve`.
            book: Counts connections of interest; None when they are not wanted.
        """
        self.packets = 0
        self.earliest: int | None = None
        self.latest: int | None = None
        self._decoder = decoder
        self._sieve = Sieve(decoder, seed=seed)
        self._book = book
        self._counted = 0  # of the records that are being taken

    def take(self, records: Records) -> list[Seen]:
        """Count *records*, and return what those of them show that can matter."""
        earliest, latest = int(records.times.min()), int(records.times.max())
        self.earliest = earliest if self.earliest is None else min(self.earliest, earliest)
        self.latest = latest if self.latest is None else max(self.latest, latest)
        counters, decode, self._counted = self._decoder.counters, self._decoder.packet, 0
        cut = counters["truncated"] + int((records.sizes < records.lengths).sum())
        found: list[Seen] = []
        for index, packet in self._sieve.choose(records):
            if self._book is not None and self._sieve.opens(index):
                self._open(self._book, records, index)
            seen = decode(*packet, self.packets + 1 + index)
            if seen:
                found += seen
                if self._book is not None:
                    self._note(self._book, records, index, seen)
        if self._book is not None:
            self._count(self._book, records, len(records))
            found += self._book.ended(int(records.times[-1]))
        counters["truncated"] = cut  # by the snap length: those that were not looked at are among them
        self.packets += len(records)
        return found

    def _open(self, book: FlowBook, records: Records, index: int) -> None:
        """Count what was sent before a connection is opened on ports that were used already."""
        ends = self._sieve.ends(records, index)
        if ends is not None and book.knows(ends):
            self._count(book, records, index)
            book.opened(ends)

    def _note(self, book: FlowBook, records: Records, index: int, seen: list[Seen]) -> None:
        """Tell the book what a packet named."""
        ends = self._sieve.ends(records, index)
        if ends is None:
            return
        wanted = [book.named(ends, one) for one in seen]
        if not all(wanted):
            self._sieve.ignore_flow_of(index)

    def _count(self, book: FlowBook, records: Records, end: int) -> None:
        """Count the packets up to *end* that were not counted yet."""
        for span in self._sieve.spans(records, self._counted, end):
            start = int(records.starts[span.at])
            packet = bytes(records.view[start : start + int(records.sizes[span.at])])
            if not book.take(span, self.packets + 1 + span.at, packet):
                self._sieve.ignore(span.slot)
        self._counted = end
