"""Decodes what comes in through one ring, and keeps count."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.meter import Meter
from sentinel.packets.seen import Seen
from sentinel.sources.ring import Ring

HARVEST_SECS = 0.2
MOST_SEEN = 2000
MOST_CONNECTIONS = 8192
MOST_BYTES = 4 * 1024 * 1024
"""Of the packets kept as evidence in one harvest: several harvests may wait for the engine."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How an interface is opened. `ring` is in bytes, of each worker."""

    interface: str
    ring: int = 64 * 1024 * 1024
    dns_ports: Collection[int]
    outgoing: bool = False


@dataclass(slots=True)
class Harvest:
    """What came in since the last harvest.

    packets, bytes: that passed the kernel's filter, with their lengths on the wire. dropped: lost because the ring was full.
    unreadable: what could not be read, by kind. lost: how many of those for want of bytes or memory.
    """

    seen: list[Seen] = field(default_factory=list)
    packets: int = 0
    bytes: int = 0
    dropped: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def __bool__(self) -> bool:
        """Whether anything came in or was lost."""
        return bool(self.packets or self.dropped or self.seen)

    def add(self, other: Harvest) -> None:
        """Take *other* in, which came after."""
        self.seen += other.seen
        self.packets += other.packets
        self.bytes += other.bytes
        self.dropped += other.dropped
        self.unreadable += other.unreadable
        self.lost += other.lost
        self.first = self.first or other.first
        self.last = other.last or self.last


class Tap:
    """One ring and its decoder."""

    def __init__(self, opening: Opening, *, group: int | None = None, nth: int = 0, of: int = 1) -> None:
        """Open the interface.

        Args:
            opening: Which, and how.
            group: The fanout group to join; 0 founds one.
            nth: Which of several workers this is, from 0: packets are numbered so that no two have the same number.
            of: How many workers there are.

        Raises:
            NoInterfaceError: There is no such interface, or it is of a kind that is not read.
            NotPermittedError: CAP_NET_RAW is missing.
            OSError: There is not enough memory for the ring.
        """
        self.ring = Ring(
            opening.interface, size=opening.ring, dns_ports=opening.dns_ports, outgoing=opening.outgoing, fanout=group
        )
        self._decoder = Decoder(opening.dns_ports)
        # Whether a name is of interest is told where the rules are; here all connections that name somebody are counted.
        self._book = FlowBook(self._decoder.resolved, lambda _seen: True, most=MOST_CONNECTIONS, every_packet=False)
        self._decoder.metered = self._book
        self._meter = Meter(self._book, self._decoder.whole_ports, live=True)
        self._frame, self._step = nth + 1 - of, of
        self._told: Counter[str] = Counter()
        self._lost = 0

    def harvest(self, secs: float = HARVEST_SECS) -> Harvest:
        """Return what comes in within *secs*; sooner when there is much of it."""
        until = time.monotonic() + secs
        harvest, kept = Harvest(), 0
        while (left := until - time.monotonic()) > 0 and len(harvest.seen) < MOST_SEEN and kept < MOST_BYTES:
            before = len(harvest.seen)
            self._block(harvest, left)
            kept += sum(len(one.packet) for one in harvest.seen[before:])
        harvest.seen += self._book.ended(time.time_ns())
        return self._counted(harvest)

    def rest(self) -> Harvest:
        """Return what still lies in the ring and what unfinished streams show, and let the interface go."""
        harvest = Harvest()
        while before := harvest.packets or -1:
            self._block(harvest, 0)
            if harvest.packets in (before, 0):
                break
        harvest.seen += [*self._decoder.finish(), *self._book.finish()]
        self._counted(harvest)
        self.ring.close()
        return harvest

    def _block(self, harvest: Harvest, secs: float) -> None:
        """Decode the packets of the next block that is full or was long enough in coming."""
        decoder, frame, step = self._decoder, self._frame, self._step
        decode = decoder.packet
        first = last = size = 0
        packets = -frame
        for last, link, data, length in self.ring.packets(secs):
            frame += step
            first = first or last
            size += length
            found = decode(last, link, data, length, frame)
            if found:
                harvest.seen += found
            if decoder.inner is not None:
                self._meter.take(decoder.inner, last, frame, data, found)
                decoder.inner = None
        packets += frame
        self._frame = frame
        if packets:
            harvest.packets += packets // step
            harvest.bytes += size
            harvest.first = harvest.first or _utc(first)
            harvest.last = _utc(last)

    def _counted(self, harvest: Harvest) -> Harvest:
        """Add what was lost since the last time."""
        harvest.dropped += self.ring.dropped()
        told, lost = Counter(self._decoder.noteworthy()), self._decoder.lost()
        harvest.unreadable += told - self._told
        harvest.lost += lost - self._lost
        self._told, self._lost = told, lost
        return harvest


def _utc(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
