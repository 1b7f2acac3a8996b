"""A capture's packets, from its records to what they show."""

from __future__ import annotations

from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.meter import Meter, ends_of
from sentinel.packets.records import Records
from sentinel.packets.seen import Seen
from sentinel.packets.strainer import Passed, Sent, Strainer


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
        self._decoder = decoder
        self._strainer = Strainer(decoder, seed=seed, spans=book is not None)
        self._reading = Reading(decoder, book, self._strainer)
        self._book = book

    @property
    def packets(self) -> int:
        """How many packets were counted so far."""
        return self._strainer.packets

    @property
    def earliest(self) -> int | None:
        """The time of the first of them, in ns since 1970."""
        return self._strainer.earliest

    @property
    def latest(self) -> int | None:
        """The time of the last of them, in ns since 1970."""
        return self._strainer.latest

    def take(self, records: Records) -> list[Seen]:
        """Count *records*, and return what those of them show that can matter."""
        strainer, counters = self._strainer, self._decoder.counters
        cut = counters["truncated"] - strainer.cut
        found: list[Seen] = []
        for one in strainer.strain(records):
            if isinstance(one, Passed):
                if not self._reading.packet(one, found):
                    strainer.ignore_passed()
            elif not self._reading.sent(one):
                strainer.ignore(one)
        if self._book is not None:
            found += self._book.ended(int(records.times[-1]))
        counters["truncated"] = cut + strainer.cut  # by the snap length: those that were not looked at are among them
        return found


class Reading:
    """Has packets decoded, and connections counted, in the order in which they are given: that of their times."""

    def __init__(self, decoder: Decoder, book: FlowBook | None, strainer: Strainer | None = None) -> None:
        """Start with nothing read.

        Args:
            decoder: Decodes packets.
            book: Counts connections; None when they are not wanted.
            strainer: What passed the packets on, where it is at hand. It counts most of them; those that only the decoder can
                take apart are counted here, and both may belong to one connection.
        """
        self._decoder = decoder
        self._unconcerning = decoder.unconcerning
        self._book = book
        self._strainer = strainer
        self._meter = None if book is None else Meter(book, decoder.whole_ports)

    def packet(self, passed: Passed, found: list[Seen], base: int = 0) -> bool:
        """Add what a packet shows to *found*; return whether its connection may be of interest.

        *base* is added to the numbers of packets, to tell those of several captures apart.
        """
        time, link, packet, length, frame, ends, opens, counted = passed
        book = self._book
        if opens and ends is not None and book is not None and book.knows(ends):
            book.opened(ends)
        self._decoder.inner = None
        seen = self._decoder.packet(time, link, memoryview(packet), length, base + frame)
        others = self._unconcerning
        if not counted and self._meter is not None:
            found += seen
            self._meet(self._meter, passed, base, seen)
            return True
        if not seen and not others:
            return True
        found += seen
        interest = not others
        if ends is None and book is not None and self._strainer is not None:
            ends = self._strainer.ends()
        if book is not None and ends is not None:
            for other in others:
                book.named_otherwise(ends, other)
            for one in seen:
                interest &= book.named(ends, one)
        others.clear()
        return interest

    def _meet(self, meter: Meter, passed: Passed, base: int, seen: list[Seen]) -> None:
        """Count a packet that the sieve does not. Where others of its connection are plain, both have to know how far it is."""
        inner, others = self._decoder.inner, self._unconcerning[:]
        self._unconcerning.clear()
        if inner is None or not meter.wants(inner):
            return
        ends, strainer = ends_of(inner), self._strainer
        mixed = strainer is not None and strainer.sieve.meets(ends)
        if strainer is not None and mixed:
            for one in strainer.so_far():
                if not self.sent(one):
                    strainer.ignore(one)
            meter.reached(ends, strainer.sieve.top(ends))
        meter.take(inner, passed.time, base + passed.frame, memoryview(passed.packet), seen)
        if self._book is not None:
            for other in others:
                self._book.named_otherwise(ends, other)
        top = meter.top(ends)
        if strainer is not None and mixed and top is not None:
            strainer.sieve.reached(ends, top)

    def sent(self, sent: Sent, base: int = 0) -> bool:
        """Count what a connection sent; return whether it may be of interest."""
        span, frame, packet = sent
        return self._book is None or self._book.take(span, base + frame, packet, base)
