"""A capture's packets, from its records to what they show."""

from __future__ import annotations

from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
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
        self._reading = Reading(decoder, book)
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

    def __init__(self, decoder: Decoder, book: FlowBook | None) -> None:
        """Start with nothing read."""
        self._decode = decoder.packet
        self._unconcerning = decoder.unconcerning
        self._book = book

    def packet(self, passed: Passed, found: list[Seen], base: int = 0) -> bool:
        """Add what a packet shows to *found*; return whether its connection may be of interest.

        *base* is added to the numbers of packets, to tell those of several captures apart.
        """
        time, link, packet, length, frame, ends, opens, _counted = passed
        book = self._book
        if opens and ends is not None and book is not None and book.knows(ends):
            book.opened(ends)
        seen = self._decode(time, link, memoryview(packet), length, base + frame)
        others = self._unconcerning
        if not seen and not others:
            return True
        found += seen
        interest = not others
        if book is not None and ends is not None:
            for other in others:
                book.named_otherwise(ends, other)
            for one in seen:
                interest &= book.named(ends, one)
        others.clear()
        return interest

    def sent(self, sent: Sent, base: int = 0) -> bool:
        """Count what a connection sent; return whether it may be of interest."""
        span, frame, packet = sent
        return self._book is None or self._book.take(span, base + frame, packet, base)
