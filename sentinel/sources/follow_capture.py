"""Follows a capture that is still being written, as `tcpdump -U -w` writes it."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import structlog

from sentinel.coverage import Coverage
from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook, Wanted
from sentinel.packets.ports import DNS_PORTS
from sentinel.packets.records import CaptureParser
from sentinel.packets.seen import Seen
from sentinel.packets.sieve_intake import Intake
from sentinel.packets.wire import Undecodable
from sentinel.sources.batch import Position
from sentinel.sources.records import CHUNK, digest_of

log = structlog.get_logger()

POLL_SECS = 0.1
HEAD = 64
"""Bytes a capture is known by: its header, and the time and beginning of its first packet."""


@dataclass(frozen=True, slots=True)
class PacketBatch:
    """What some packets completed. `position` counts what was given out: decoding the same bytes gives the same again.

    What follows `format` is the account of a live interface since the batch before: packets and bytes on the wire, those that
    were dropped unseen, whether all was seen, sentences for the report, what could not be read by kind, first and last packet.
    """

    key: str
    path: str
    seen: tuple[Seen, ...]
    position: Position
    caught_up: bool = False
    format: str = "capture"
    packets: int = 0
    bytes: int = 0
    dropped: int = 0
    complete: bool = True
    notes: tuple[str, ...] = ()
    unreadable: Counter[str] = field(default_factory=Counter)
    first: datetime | None = None
    last: datetime | None = None

    def add_to(self, coverage: Coverage) -> None:
        """Add the account to the input's."""
        coverage.bytes += self.bytes
        coverage.records += self.packets + self.dropped
        coverage.parsed += self.packets
        coverage.unparsed += self.dropped
        coverage.complete = coverage.complete and self.complete
        coverage.unreadable += self.unreadable
        for note in self.notes:
            coverage.note(note)
        for at in (self.first, self.last):
            if at is not None:
                coverage.saw(at)


class FollowCapture:
    """One capture file that grows."""

    def __init__(self, path: str, dns_ports: Collection[int] = DNS_PORTS, wanted: Wanted = lambda _seen: False) -> None:
        """Name the file; nothing is opened yet.

        Args:
            path: Where it is, or will be.
            dns_ports: Where DNS is spoken.
            wanted: Whether the bytes of connections to what an observation names are to be counted.
        """
        self._path = path
        self._dns_ports = dns_ports
        self._wanted = wanted

    def batches(self, stop: threading.Event, positions: Mapping[str, Position]) -> Iterator[PacketBatch]:
        """Yield what packets complete, until *stop*. What *positions* say was committed is decoded again and not given out."""
        head = self._head(stop)
        if head is None:
            return
        key = "capture:" + digest_of(head)
        done = int(positions.get(key, {}).get("given", 0))
        given = 0
        told = False
        decoder = Decoder(self._dns_ports)
        book = FlowBook(decoder.resolved, self._wanted)
        for seen in self._seen(stop, decoder, book):
            fresh = []
            for one in seen:
                # Connections are told when they are over, by the clock too, so that their place among the rest says nothing.
                # One that was committed before is known by its identity.
                given += one.observation.kind != "flow"
                if given > done or one.observation.kind == "flow":
                    fresh.append(one)
            if fresh:
                yield PacketBatch(key, self._path, tuple(fresh), {"given": max(given, done)})
            elif not seen and not told and not book.waiting:
                yield PacketBatch(key, self._path, (), {"given": max(given, done)}, caught_up=True)
            told = not seen and not book.waiting

    def _seen(self, stop: threading.Event, decoder: Decoder, book: FlowBook) -> Iterator[list[Seen]]:
        """Yield what each piece of the file completes, and an empty list whenever there is nothing more for now."""
        parser = CaptureParser()
        intake = Intake(decoder, seed=secrets.randbits(64), book=book)
        since = time.monotonic()  # when there was something to read
        with Path(self._path).open("rb") as file:
            while not stop.is_set():
                data = file.read(CHUNK)
                found: list[Seen] = []
                try:
                    for records in parser.feed(data) if data else ():
                        found += intake.take(records)
                except Undecodable as error:
                    told = {"path": self._path, "packets": intake.packets, "reason": str(error)}
                    log.error("capture is damaged, it is not read further", **told)
                    yield found
                    return
                if data:
                    since = time.monotonic()
                elif intake.latest is not None:
                    found += book.ended(intake.latest + int((time.monotonic() - since) * 1_000_000_000))
                yield found
                if not data:
                    stop.wait(POLL_SECS)

    def _head(self, stop: threading.Event) -> bytes | None:
        """Wait until the file is there and holds the beginning of a packet; None when stopped before."""
        while not stop.is_set():
            try:
                with Path(self._path).open("rb") as file:
                    head = file.read(HEAD)
            except OSError:
                head = b""
            if len(head) == HEAD:
                return head
            stop.wait(0.2)
        return None
