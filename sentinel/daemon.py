"""The daemon: a thread per source, one for engine and store, one per sink; signals, reload, an orderly end."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from sentinel.activity.records import Alert
from sentinel.config.checking import blind_sources
from sentinel.config.listeners import DnstapSource, SyslogSource
from sentinel.config.loading import Loaded, load
from sentinel.config.settings import CaptureSource, DatabaseSource, FileSource, InterfaceSource
from sentinel.coverage import Coverage
from sentinel.engine import Engine
from sentinel.extract import Extractor, Ruling
from sentinel.investigate.following import IdentityWatch
from sentinel.investigate.naming import sources_of
from sentinel.problems import Problems
from sentinel.reload import Reloader, warn_of_overdue
from sentinel.sinks.delivery import Drain, accepts
from sentinel.sources.batch import Batch
from sentinel.sources.burst import Burst
from sentinel.sources.follow import Follow
from sentinel.sources.follow_capture import FollowCapture, PacketBatch
from sentinel.sources.follow_database import FollowDatabase
from sentinel.sources.interface import Interface
from sentinel.sources.listener import Listener
from sentinel.store.store import Store, url_of

log = structlog.get_logger()

QUEUED = 16
"""Batches that may wait for the engine. A full queue makes a source read later; nothing is dropped."""

Taking = Batch | PacketBatch | Burst
LIVE = (Interface, Listener)
"""Sources that cannot be read again: what they handed over is kept also at the end."""

STOP_WITHIN = 8.0
"""Seconds in which threads have to end, so that the whole end stays below the ten that are promised."""


@dataclass(slots=True)
class _Source:
    """One configured source, and how far in event time it has come."""

    name: str
    follow: Follow | FollowCapture | FollowDatabase | Interface | Listener
    event_time: datetime | None = None
    coverage: Coverage | None = None  # of packets, and a listener's own; that of logs is the extractor's
    idle: bool = False


@dataclass(slots=True)
class _Round:
    """What runs between two (re)loads: the threads of one configuration, and the event that ends them."""

    loaded: Loaded
    stop: threading.Event = field(default_factory=threading.Event)
    wake: threading.Event = field(default_factory=threading.Event)
    queue: queue.Queue[tuple[_Source, Taking]] = field(default_factory=lambda: queue.Queue(QUEUED))
    sources: list[_Source] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, target: Callable[..., None], *args: object, name: str) -> None:
        """Run *target* in a thread of this round."""
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        thread.start()
        self.threads.append(thread)

    def end(self, take: Callable[[_Source, Taking], None]) -> None:
        """Stop the threads. What still waits in the queue is read again by the next round; what cannot be goes to *take*."""
        self.stop.set()
        self.wake.set()
        deadline = time.monotonic() + STOP_WITHIN
        while time.monotonic() < deadline and (any(thread.is_alive() for thread in self.threads) or not self.queue.empty()):
            with contextlib.suppress(queue.Empty):
                source, batch = self.queue.get(timeout=0.05)
                if isinstance(source.follow, LIVE):
                    take(source, batch)
        for thread in self.threads:
            if thread.is_alive():
                log.warning("thread does not end", thread=thread.name)


class Daemon:
    """Runs one configuration until it is told to stop."""

    def __init__(self, config: Path, *, on_alert: Callable[[Alert], None] = lambda _alert: None) -> None:
        """Load everything; start nothing.

        Raises:
            Problems: The configuration, the rules or the policy is wrong, or no source can be read: it would watch nothing.
        """
        self._config = config
        self._loaded = load(config)
        blind = blind_sources(self._loaded.settings, config, self._loaded.lines)
        if blind:
            raise Problems(blind)
        self.ruling = Ruling.of(self._loaded.catalog, self._loaded.policy)
        self._reloader = Reloader(config, self._loaded, self.ruling)
        self._on_alert = on_alert
        self._stop = threading.Event()
        self._failed = False

    def stop(self, *_signal: object) -> None:
        """Ask for an orderly end: commit what is at hand, leave the rest for the next start."""
        self._stop.set()

    def ask_reload(self, *_signal: object) -> None:
        """Ask for configuration, rules and policy to be read again."""
        self._reloader.ask()

    def take_signals(self) -> None:
        """Let SIGTERM and SIGINT stop the daemon, and SIGHUP reload it. Only from the main thread."""
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        signal.signal(signal.SIGHUP, self.ask_reload)

    def run(self) -> int:
        """Run until stopped; return the exit status: 1 when a source or the engine failed, so that systemd starts anew."""
        settings = self._loaded.settings
        store = Store.open(url_of(settings.store, self._config.resolve().parent))
        log.info("started", config=str(self._config), services=len(self.ruling.facts), store=settings.store)
        warn_of_overdue(self._config, settings)
        reloading = threading.Thread(target=self._reloader.run, args=(self._stop,), name="reload", daemon=True)
        reloading.start()
        try:
            while not self._stop.is_set():
                self._one_round(store)
        finally:
            store.close()
        log.info("stopped")
        return 1 if self._failed else 0

    def _one_round(self, store: Store) -> None:
        """Run with the same sources and sinks until told to stop, or until other settings have been loaded."""
        round_ = _Round(self._loaded)
        settings = round_.loaded.settings
        extractor = Extractor(self.ruling, zone=settings.timezone, positions=store.positions())
        engine = Engine(extractor, store, route=self._route, gap=settings.gap)
        identity = IdentityWatch(sources_of(settings, self._config), lambda: self.ruling.policy)
        if settings.identity:
            identity.look()  # ahead of the first batch, so that no session has to be revised without need
            round_.start(identity.run, round_.stop, name="identity")
        try:
            self._start_sinks(round_, store)
            self._start_sources(round_, store)
            log.info("watching", sources=[source.name for source in round_.sources])
            while not self._stop.is_set():
                if self._taken_up(engine):
                    return
                if (directory := identity.take()) is not None:
                    self._tell(engine.know(directory).alerts, round_)
                self._step(engine, round_)
        finally:
            round_.end(lambda source, batch: self._take(engine, round_, source, batch))

    def _route(self, alert: Alert) -> list[str]:
        return [sink.name for sink in self._loaded.settings.sinks if accepts(sink, alert)]

    def _start_sinks(self, round_: _Round, store: Store) -> None:
        for sink in round_.loaded.settings.sinks:
            drain = Drain(sink, store, self._route)
            round_.start(drain.run, round_.stop, round_.wake, name=f"sink {sink.name}")

    def _start_sources(self, round_: _Round, store: Store) -> None:
        positions = {key: kept["source"] for key, kept in store.positions().items()}
        for one in round_.loaded.settings.sources:
            source = self._source(one)
            round_.sources.append(source)
            round_.start(self._read, round_, source, positions, name=f"source {source.name}")

    def _source(
        self, settings: FileSource | CaptureSource | InterfaceSource | SyslogSource | DnstapSource | DatabaseSource
    ) -> _Source:
        if isinstance(settings, SyslogSource | DnstapSource):
            listener = settings.listener(self._config.resolve().parent)
            return _Source(listener.path, listener)
        ports = self._loaded.settings.dns_ports
        if isinstance(settings, InterfaceSource):
            interface = Interface(
                settings.interface,
                ring_mib=settings.ring_mib,
                workers=settings.workers,
                dns_ports=ports,
                outgoing=settings.outgoing,
            )
            return _Source(interface.path, interface)
        patterns = [str(self._config.resolve().parent / pattern) for pattern in settings.patterns()]
        if isinstance(settings, DatabaseSource):
            return _Source(patterns[0], FollowDatabase(patterns[0], poll_secs=settings.poll_secs))
        if isinstance(settings, CaptureSource):
            return _Source(patterns[0], FollowCapture(patterns[0], ports, lambda seen: self.ruling.wants(seen)))
        follow = Follow(
            patterns, start=settings.start, poll_secs=settings.poll_secs, format=settings.reads_as, zone=settings.timezone
        )
        return _Source(", ".join(patterns), follow)

    def _read(self, round_: _Round, source: _Source, positions: dict[str, Any]) -> None:
        try:
            for batch in source.follow.batches(round_.stop, positions):
                # What came in live is handed over also at the end: it cannot be read again.
                while not round_.stop.is_set() or isinstance(source.follow, LIVE):
                    try:
                        round_.queue.put((source, batch), timeout=0.2)
                        break
                    except queue.Full:
                        continue
        except Exception:  # going on without a source would be confidently blind
            log.exception("source failed", source=source.name)
            self._failed = True
            self._stop.set()

    def _step(self, engine: Engine, round_: _Round) -> None:
        try:
            source, batch = round_.queue.get(timeout=0.2)
        except queue.Empty:
            self._close(engine, round_)
            return
        self._take(engine, round_, source, batch)
        if round_.queue.empty():
            self._close(engine, round_)

    def _take(self, engine: Engine, round_: _Round, source: _Source, batch: Taking) -> None:
        """Take one batch through the engine, and remember how far in event time its source has come."""
        if isinstance(batch, Burst):
            self._take_burst(engine, round_, source, batch)
            return
        if isinstance(batch, PacketBatch):
            coverage = source.coverage = source.coverage or Coverage(
                path=batch.path, format=batch.format, sure=1.0, sampled=False
            )
            batch.add_to(coverage)
            taken = engine.take_packets(coverage, batch.seen, {batch.key: {"source": dict(batch.position)}})
        else:
            taken = engine.take(batch)
            coverage = engine.extractor.coverage_of(batch.input)
        source.idle = batch.caught_up
        source.event_time = coverage.last or source.event_time
        self._tell(taken.alerts, round_)

    def _take_burst(self, engine: Engine, round_: _Round, source: _Source, burst: Burst) -> None:
        account = source.coverage = source.coverage or Coverage(path=burst.path, format="listener", sure=1.0, sampled=False)
        taken = engine.take_burst(account, burst)
        times = [engine.extractor.coverage_of(batch.input).last for batch in burst.batches]
        source.idle = burst.caught_up
        source.event_time = max((time for time in times if time), default=source.event_time)
        self._tell(taken.alerts, round_)

    def _close(self, engine: Engine, round_: _Round) -> None:
        """Close sessions by event time. A source that has read everything is at the wall clock."""
        now = datetime.now(UTC)
        times = [now if source.idle else source.event_time for source in round_.sources]
        known = [time for time in times if time is not None]  # a source that never had a record holds nobody up
        if known:
            self._tell(engine.close(min(known)).alerts, round_)
            self._tell(engine.expire(min(known)).alerts, round_)

    def _tell(self, alerts: list[Alert], round_: _Round) -> None:
        for alert in alerts:
            log.info("alert", id=alert.id, kind=alert.kind, severity=alert.severity.word, text=alert.text)
            self._on_alert(alert)
        if alerts:
            round_.wake.set()

    def _taken_up(self, engine: Engine) -> bool:
        """Take up what was loaded aside, between two batches; return whether sources and sinks have to start anew."""
        ready = self._reloader.take()
        if ready is None:
            return False
        before = self.ruling.catalog.digest
        self._loaded, self.ruling = ready.loaded, ready.ruling
        engine.use(ready.ruling)
        log.info("reloaded", before=before[:12], after=ready.ruling.catalog.digest[:12], sources_restart=ready.restart)
        return ready.restart
