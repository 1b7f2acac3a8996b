"""A capture's packets on their way to the decoder: all are counted, few are passed on.

What is passed on says all that the decoder and the book of flows have to know of one capture, so that it can be handed over
from another process, and put between that of other captures by time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_spans import Span
from sentinel.packets.records import Records
from sentinel.packets.sieve import Sieve


class Passed(NamedTuple):
    """A packet that the decoder is to see. `time`: ns since 1970 UTC; `length`: on the wire; `frame`: its number, from 1.

    `opens`: it opens a TCP connection. `ends`: source, destination and ports; None where its connection is not counted, and
    where nobody has asked yet.
    `counted`: a `Sent` tells how much its connection sent, or would if anybody wanted to know.
    """

    time: int
    link: int
    packet: bytes | memoryview
    length: int
    frame: int
    ends: bytes | None
    opens: bool
    counted: bool


class Sent(NamedTuple):
    """What one direction of a connection sent without a pause. `frame` and `packet`: the first of the packets that did."""

    span: Span
    frame: int
    packet: bytes


@dataclass(slots=True)
class Strainer:
    """Takes the records of one capture.

    `packets`: how many were counted so far; `earliest` and `latest`: the times of the first and last of them, in ns since 1970;
    `cut`: how many the snap length cut; `sieve`: what chooses among them.
    """

    packets: int
    earliest: int | None
    latest: int | None
    cut: int
    sieve: Sieve
    _spans: bool
    _records: Records | None
    _counted: int
    _place: int

    def __init__(self, decoder: Decoder, *, seed: int = 0, spans: bool = True) -> None:
        """Start with no packet counted.

        Args:
            decoder: Says which streams it follows. It is to see each packet before the next is asked for.
            seed: As for the `Sieve`.
            spans: Count what connections send.
        """
        self.packets, self.cut = 0, 0
        self.earliest = self.latest = None
        self.sieve = Sieve(decoder, seed=seed)
        self._spans = spans
        self._records: Records | None = None
        self._counted = self._place = 0  # among the records that are being taken

    def strain(self, records: Records) -> Iterator[Passed | Sent]:
        """Count *records*, and yield what the decoder and the book have to know of them, each valid until the next."""
        earliest, latest = int(records.times.min()), int(records.times.max())
        self.earliest = earliest if self.earliest is None else min(self.earliest, earliest)
        self.latest = latest if self.latest is None else max(self.latest, latest)
        self.cut += int((records.sizes < records.lengths).sum())
        self._records, self._counted = records, 0
        sieve, first = self.sieve, self.packets + 1
        for index, packet in sieve.choose(records):
            self._place = index
            ends, opens = None, self._spans and sieve.opens(index)
            if opens:
                ends = sieve.ends(records, index)
                if ends is not None and sieve.used(self._counted, index):
                    # What was sent before on the same ports belongs to another connection.
                    yield from self._count(records, index)
            yield Passed(*packet, first + index, ends, opens, sieve.counts(index))
        if self._spans:
            yield from self._count(records, len(records))
        self.packets += len(records)

    def ends(self) -> bytes | None:
        """Return source, destination and ports of the packet that was passed on last; None where it is not counted."""
        return self.sieve.ends(self._records, self._place) if self._records is not None else None

    def so_far(self) -> Iterator[Sent]:
        """Yield what was sent before the packet that was passed on last, as far as that was not told yet."""
        if self._records is not None:
            yield from self._count(self._records, self._place)

    def ignore(self, sent: Sent) -> None:
        """Count what a connection sends no longer, until it begins anew."""
        self.sieve.ignore(sent.span.slot)

    def ignore_passed(self) -> None:
        """Do the same for the connection of the packet that was passed on last."""
        self.sieve.ignore_flow_of(self._place)

    def _count(self, records: Records, end: int) -> Iterator[Sent]:
        """Count the packets up to *end* that were not counted yet."""
        begin, self._counted = self._counted, end
        for span in self.sieve.spans(records, begin, end):
            start = int(records.starts[span.at])
            packet = bytes(records.view[start : start + int(records.sizes[span.at])])
            yield Sent(span, self.packets + 1 + span.at, packet)
