"""A network interface as a source: a mirror port, a tap, or a gateway's own.

Packets that nobody read are gone: a position only says until when the interface was watched, so that the time in which it was
not can be told as a gap.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from sentinel.packets.ports import DNS_PORTS
from sentinel.sources.batch import Position
from sentinel.sources.follow_capture import PacketBatch
from sentinel.sources.ring import NoInterfaceError, link_of
from sentinel.sources.tap import Harvest, Opening, Tap
from sentinel.sources.workers import Workers

log = structlog.get_logger()

LINK_SECS = 0.5
"""How often it is looked whether the interface is still there and up."""

ACCOUNT_SECS = 5.0
"""How often it is written down that the interface was watched, when nothing else is to be told."""

DROPPED = "packets that the kernel dropped because Sentinel was too slow"
DROPPED_BEFORE = "packets that the interface itself dropped"
MOST_GAPS = 50
"""Gaps that are told one by one, of one run; an interface that goes up and down all day must not fill the report."""


@dataclass(slots=True)
class _Gap:
    """A time in which nothing was seen."""

    since: datetime
    reason: str

    def told(self, until: datetime) -> str:
        """Return it in words."""
        return f"not watched from {self.since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC: {self.reason}"


@dataclass(slots=True)
class _State:
    """What is known of the watch, and waits to be told with the next batch."""

    watched_until: datetime
    gap: _Gap | None
    waiting: Harvest = field(default_factory=Harvest)
    notes: list[str] = field(default_factory=list)
    gaps: int = 0
    told_at: float = float("-inf")
    dropped_before: int | None = None


class Interface:
    """One interface."""

    live = True

    def __init__(
        self,
        name: str,
        *,
        ring_mib: int = 64,
        workers: int = 1,
        outgoing: bool = False,
        dns_ports: Collection[int] = DNS_PORTS,
    ) -> None:
        """Name the interface; nothing is opened yet.

        Args:
            name: As `ip link` shows it.
            ring_mib: Size in MiB of the memory, of each worker, in which packets wait.
            workers: How many processes share the packets.
            outgoing: Whether to read what this machine itself sends.
            dns_ports: Where DNS is spoken.
        """
        self.name = name
        self.path = self.key = f"interface:{name}"
        self._opening = Opening(interface=name, ring=ring_mib << 20, dns_ports=tuple(dns_ports), outgoing=outgoing)
        self._workers = workers

    def batches(self, stop: threading.Event, positions: Mapping[str, Position]) -> Iterator[PacketBatch]:
        """Yield what packets show, until *stop*, and every few seconds an account of the watch.

        An interface that goes down, is removed or is not there yet is waited for, and that is told.

        Raises:
            NotPermittedError: CAP_NET_RAW is missing.
            NoInterfaceError: The interface is of a kind that is not read.
            WorkerError: One of several workers ended by itself.
            OSError: There is not enough memory for the ring.
        """
        known = positions.get(self.key, {}).get("watched_until")
        now = datetime.now(UTC)
        state = _State(now, None)
        if known:
            state.gap = _Gap(datetime.fromisoformat(known), "Sentinel was not running, or was reloading")
            state.watched_until = state.gap.since
        while not stop.is_set():
            link = link_of(self.name)
            if link is None:
                self._dark(state, "there is no such interface")
                stop.wait(LINK_SECS)
                continue
            try:
                tap = self._opened()
            except NoInterfaceError:
                if link_of(self.name) is not None:
                    raise
                continue  # it went away this moment
            yield from self._watch(tap, link.index, stop, state)

    def _opened(self) -> Tap | Workers:
        return Tap(self._opening) if self._workers == 1 else Workers(self._opening, self._workers)

    def _watch(self, tap: Tap | Workers, index: int, stop: threading.Event, state: _State) -> Iterator[PacketBatch]:
        """Read until *stop*, or until the interface is gone."""
        looked = float("-inf")
        state.dropped_before = _dropped_before(self.name)
        log.info("interface opened", interface=self.name, workers=self._workers)
        try:
            while not stop.is_set():
                if time.monotonic() - looked >= LINK_SECS:
                    looked = time.monotonic()
                    link = link_of(self.name)
                    if link is None or link.index != index:
                        self._dark(state, "there is no such interface")
                        break
                    self._running(state, link.running)
                state.waiting.add(tap.harvest())
                if self._is_time(state):
                    yield self._batch(state)
        finally:
            state.waiting.add(tap.rest())
        yield self._batch(state)

    def _running(self, state: _State, running: bool) -> None:
        now = datetime.now(UTC)
        if not running:
            self._dark(state, "the interface was down")
            return
        if state.gap is not None:
            self._tell(state, state.gap.told(now))
            log.info("interface is watched", interface=self.name, not_since=state.gap.since.isoformat())
            state.gap = None
        state.watched_until = now

    def _dark(self, state: _State, reason: str) -> None:
        if state.gap is None:
            state.gap = _Gap(state.watched_until, reason)
            log.error("interface cannot be watched", interface=self.name, reason=reason)

    def _tell(self, state: _State, note: str) -> None:
        state.gaps += 1
        if state.gaps <= MOST_GAPS:
            state.notes.append(note)
        elif state.gaps == MOST_GAPS + 1:
            state.notes.append("there were more times in which it was not watched; the log has them")

    def _is_time(self, state: _State) -> bool:
        return bool(state.waiting.seen or state.notes) or time.monotonic() - state.told_at >= ACCOUNT_SECS

    def _batch(self, state: _State) -> PacketBatch:
        """Return what waits to be told."""
        harvest, notes = state.waiting, state.notes
        state.waiting, state.notes, state.told_at = Harvest(), [], time.monotonic()
        before = _dropped_before(self.name)
        lost_before = max(0, before - state.dropped_before) if before is not None and state.dropped_before is not None else 0
        state.dropped_before = before
        unreadable = harvest.unreadable + Counter({DROPPED: harvest.dropped, DROPPED_BEFORE: lost_before})
        if harvest.dropped or lost_before:
            log.error("packets dropped", interface=self.name, by_kernel=harvest.dropped, by_interface=lost_before)
        return PacketBatch(
            key=self.key,
            path=self.path,
            seen=tuple(harvest.seen),
            position={"watched_until": state.watched_until.isoformat()},
            caught_up=True,
            format="interface",
            packets=harvest.packets,
            bytes=harvest.bytes,
            dropped=harvest.dropped + lost_before,
            complete=not (notes or harvest.dropped or lost_before or harvest.lost),
            notes=tuple(notes),
            unreadable=unreadable,
            first=harvest.first,
            last=harvest.last,
        )


def _dropped_before(name: str) -> int | None:
    """Return how many packets the interface itself dropped since it is there (`ip -s link`); None when that cannot be told."""
    try:
        lines = Path("/proc/thread-self/net/dev").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        interface, _, numbers = line.partition(":")
        if interface.strip() == name:
            return int(numbers.split()[3])
    return None
