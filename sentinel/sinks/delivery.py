"""Drains the store's outbox: a thread for each sink, back-off, dead letters, and single probes while a sink is down.

Delivery is at least once. What is under way when the process is killed or stopped is delivered again later, with the same id.
"""

from __future__ import annotations

import queue
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from sentinel.activity.records import Alert
from sentinel.activity.sessions import digest
from sentinel.schemas.fit import fitted
from sentinel.schemas.text import SYSLOG
from sentinel.sinks import KINDS
from sentinel.sinks.kind import SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Health, Outcome, Outgoing, Rejected, Retry, Sink
from sentinel.store.step import Step
from sentinel.terms import Severity, Stage

if TYPE_CHECKING:  # the store knows outcomes, which lie in this package, and takes long to import
    from sentinel.store.store import Store

log = structlog.get_logger()

BASE_SECS = 1.0
CAP_SECS = 300.0

WATCH_SECS = 5.0
"""How often a sink's backlog is looked at."""

LOOK_SECS = 0.5
"""How often the outbox is looked at when nobody says that something is there."""

SEND_SECS = 40.0
"""How long a sink may take, beyond all time-outs of its own. It is then left alone with what it does, and opened anew."""

FINISH_SECS = 1.0
"""How long a delivery that is under way may still take when the thread is to stop."""

EMPTY_SECS = 60.0
"""How long `deliver_all` goes on while nothing arrives any more."""


def accepts(settings: SinkSettings, alert: Alert) -> bool:
    """Return whether *alert* goes to the sink: by kind, severity and, where there is a session, its stage."""
    if alert.kind == "sink-test":
        return True
    far = alert.session is None or alert.session.stage >= Stage.of(settings.minimum_stage)
    return alert.kind in settings.events and alert.severity >= Severity.of(settings.minimum_severity) and far


def test_alert(sink: str, now: datetime) -> Alert:
    """Return an alert for the sink called *sink* that says of itself that nothing happened."""
    return Alert(
        id=f"al_test_{secrets.token_hex(12)}",
        kind="sink-test",
        created=now,
        severity=Severity.INFO,
        session=None,
        text=f"This is a test of the sink {sink!r}: nothing happened.",
    )


def try_out(settings: SinkSettings) -> Outcome:
    """Send a marked test alert the way that all alerts go, once, and return what became of it."""
    attempts = _Attempts(settings)
    alert = test_alert(settings.name, datetime.now(UTC))
    try:
        (outcome,) = attempts.make([Outgoing(alert, 0, alert.created)], threading.Event()) or [Retry("stopped")]
    finally:
        attempts.close()
    return outcome


def deliver_all(sinks: Sequence[SinkSettings], store: Store) -> int:
    """Deliver what waits for *sinks*; return how many deliveries still wait when nothing has arrived for a minute."""
    stop, wake = threading.Event(), threading.Event()
    threads = [threading.Thread(target=Drain(one, store).run, args=(stop, wake), daemon=True) for one in sinks]
    for thread in threads:
        thread.start()
    left, deadline = _waiting(sinks, store), time.monotonic() + EMPTY_SECS
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        now_left = _waiting(sinks, store)
        if now_left < left:
            left, deadline = now_left, time.monotonic() + EMPTY_SECS
    stop.set()
    wake.set()
    for thread in threads:
        thread.join()
    if left:
        log.error("alerts not delivered", waiting={one.name: store.backlog(one.name) for one in sinks})
    return left


def _waiting(sinks: Sequence[SinkSettings], store: Store) -> int:
    return sum(store.backlog(one.name) for one in sinks)


class Drain:
    """Delivers what waits for one sink."""

    def __init__(
        self, settings: SinkSettings, store: Store, route: Callable[[Alert], Sequence[str]] = lambda _alert: ()
    ) -> None:
        """Open nothing yet. *route*: which sinks an alert goes to, for those that tell of this one's backlog."""
        self._name = settings.name
        self._settings = settings
        self._route = route
        self._looked, self._told = time.monotonic(), False
        kind = KINDS[_type(settings)]
        self._batch, self._pace = kind.batch, kind.pace_secs
        self._store = store
        self._attempts = _Attempts(settings)
        self._failures = 0
        self._failing_since: datetime | None = None
        self._quiet_until = 0.0  # by the monotonic clock

    def run(self, stop: threading.Event, wake: threading.Event) -> None:
        """Deliver until *stop* is set, and then end within two seconds; what is not delivered keeps waiting in the store.

        *wake* says that something new may be in the outbox. It is cleared here; several drains may share one.
        """
        try:
            while not stop.is_set():
                self._look_at_backlog()
                quiet = self._quiet_until - time.monotonic()
                if quiet > 0:
                    stop.wait(min(quiet, WATCH_SECS))
                elif not self._step(stop) and wake.wait(LOOK_SECS):
                    wake.clear()
        finally:
            self._attempts.close()

    def _step(self, stop: threading.Event) -> bool:
        """Deliver a batch; return whether there was one."""
        try:
            # A sink that is down is asked with one alert at a time, until one arrives.
            waiting = self._store.due(self._name, datetime.now(UTC), 1 if self._failures else self._batch)
            if not waiting:
                return False
            outcomes = self._attempts.make(waiting, stop)
            if outcomes is not None:
                self._settle(waiting, outcomes)
        except Exception:  # a thread that ends here would leave its sink silent for ever
            log.exception("delivery failed", sink=self._name)
            self._pause(back_off(self._failures))
        return True

    def _settle(self, waiting: Sequence[Outgoing], outcomes: Sequence[Outcome]) -> None:
        now = datetime.now(UTC)
        results = [(one.alert.id, outcome, _next(one, outcome, now)) for one, outcome in zip(waiting, outcomes, strict=True)]
        last = outcomes[-1]
        wait = (last.after_secs or back_off(self._failures)) if isinstance(last, Retry) else 0.0
        self._store.settle(self._name, results, now, self._health(outcomes, wait, now))
        for identity, outcome, _at in results:
            if isinstance(outcome, Rejected):
                log.error("alert given up", sink=self._name, alert=identity, reason=outcome.reason)
        if isinstance(last, Retry):
            if not self._failures:
                log.warning("sink does not deliver", sink=self._name, reason=last.reason)
            self._pause(wait)
            return
        if self._failures:
            log.info("sink delivers again", sink=self._name)
            self._failures, self._failing_since = 0, None
        if self._pace:
            self._quiet_until = time.monotonic() + self._pace * len(outcomes)

    def _health(self, outcomes: Sequence[Outcome], wait: float, now: datetime) -> Health:
        """Return how the sink fares after a batch."""
        delivered_at = now if any(isinstance(outcome, Delivered) for outcome in outcomes) else None
        last = outcomes[-1]
        if not isinstance(last, Retry):
            return Health(self._name, delivered_at=delivered_at)
        self._failing_since = self._failing_since or now
        return Health(
            self._name, self._failures + 1, self._failing_since, now + timedelta(seconds=wait), last.reason, delivered_at
        )

    def _pause(self, secs: float) -> None:
        self._quiet_until = time.monotonic() + secs
        self._failures += 1

    def _look_at_backlog(self) -> None:
        """Say when too much waits or has waited too long, and keep it within its limit."""
        if time.monotonic() - self._looked < WATCH_SECS:
            return
        self._looked = time.monotonic()
        try:
            self._bound_backlog(self._store.backlog(self._name), datetime.now(UTC))
        except Exception:  # a store that is busy is asked again
            log.exception("backlog not looked at", sink=self._name)

    def _bound_backlog(self, waiting: int, now: datetime) -> None:
        settings = self._settings
        if waiting > settings.backlog_limit:
            reason = f"given up: more than {settings.backlog_limit} alerts waited for this sink"
            given_up, forgotten = self._store.bound(self._name, settings.backlog_limit, reason)
            log.error("backlog over its limit", sink=self._name, given_up=given_up, forgotten=forgotten)
            self._raise_backlog(f"limit {now:%Y-%m-%dT%H}", waiting, f"{given_up} were given up; see `sentinel sinks dead`")
        patience = timedelta(minutes=settings.backlog_minutes)
        late = waiting > 0 and self._failing_since is not None and now - self._failing_since >= patience
        if waiting >= settings.backlog_alert or late:
            first = None if self._told else self._store.first_waiting(self._name)
            if first is not None:
                self._told = True
                self._raise_backlog(first.id, waiting, f"the oldest since {first.created:%Y-%m-%d %H:%M:%S} UTC")
        elif waiting < settings.backlog_alert / 2:
            self._told = False

    def _raise_backlog(self, mark: str, waiting: int, more: str) -> None:
        """Raise an alert about this sink's backlog. The same one again, after a restart, has the same id."""
        alert = Alert(
            id="al_" + digest("sink-backlog", self._name, mark),
            kind="sink-backlog",
            created=datetime.now(UTC),
            severity=Severity.HIGH,
            session=None,
            text=f"{waiting:,} alerts wait for the sink {self._name!r}: {more}",
        )
        routed = self._route(alert)
        others = [name for name in routed if name != self._name] or routed  # nobody else: it hears of it when it is back
        self._store.commit(Step(alerts=[alert], sinks={alert.id: list(others)}))
        log.error("alerts wait", sink=self._name, waiting=waiting, alert=alert.id, told=list(others))


class _Attempts:
    """Opens a sink and hands it documents, from a thread that can be left alone when it does not come back."""

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings
        self._sensor = socket.gethostname()
        self._wording = settings.wording()
        self._sink: Sink = self._open()
        self._abandoned = threading.Event()

    def _open(self) -> Sink:
        return KINDS[_type(self._settings)].open(self._settings)

    def make(self, waiting: Sequence[Outgoing], stop: threading.Event) -> list[Outcome] | None:
        """Return what became of each alert of *waiting*; None when *stop* came first, so that nobody knows."""
        made = [self._document(one.alert, one.reference) for one in waiting]
        documents = [one for one in made if isinstance(one, Document)]
        outcomes = self._send(documents, stop) if documents else []
        if outcomes is None:
            return None
        each = iter(outcomes)
        return [next(each) if isinstance(one, Document) else one for one in made]

    def close(self) -> None:
        """Close the sink, unless it is still at work: then it does so itself at its end."""
        if not self._abandoned.is_set():
            self._sink.close()

    def _document(self, alert: Alert, reference: str | None) -> Document | Rejected:
        settings = self._settings
        try:
            body = fitted(self._wording, alert, self._sensor, settings.room)
        except Exception as error:  # an alert that cannot be worded must not hold up all others
            log.exception("alert cannot be written", sink=settings.name, alert=alert.id, schema=settings.schema_name)
            return Rejected(f"cannot be written as {settings.schema_name}: {error!r}")
        if len(body) > settings.room:
            return Rejected(f"has {len(body)} bytes as {settings.schema_name}; {settings.room} are allowed")
        return Document(
            id=alert.id,
            body=body,
            kind=alert.kind,
            severity=SYSLOG[alert.severity],
            time=alert.created,
            session=alert.session.id if alert.session else None,
            reference=reference,
        )

    def _send(self, documents: Sequence[Document], stop: threading.Event) -> list[Outcome] | None:
        answers: queue.SimpleQueue[list[Outcome]] = queue.SimpleQueue()
        threading.Thread(target=_work, args=(self._sink, documents, answers, self._abandoned), daemon=True).start()
        deadline = time.monotonic() + SEND_SECS
        while time.monotonic() < deadline:
            if stop.is_set():
                deadline = min(deadline, time.monotonic() + FINISH_SECS)
            try:
                return answers.get(timeout=FINISH_SECS / 4)
            except queue.Empty:
                continue
        self._abandoned.set()
        if stop.is_set():
            return None
        self._abandoned, self._sink = threading.Event(), self._open()
        return [Retry(f"no answer within {SEND_SECS:g} seconds")] * len(documents)


def _work(
    sink: Sink, documents: Sequence[Document], answers: queue.SimpleQueue[list[Outcome]], abandoned: threading.Event
) -> None:
    try:
        answers.put(sink.send(documents))
    except Exception as error:  # a bug of ours in one sink must neither lose alerts nor stop the others
        log.exception("sink failed")
        answers.put([Retry(f"{type(error).__name__} in Sentinel itself")] * len(documents))
    if abandoned.is_set():
        sink.close()


def back_off(failures: int) -> float:
    """Return seconds to wait after *failures* earlier ones: full jitter, so that sinks do not all come at once."""
    return random.uniform(0, min(CAP_SECS, BASE_SECS * 2 ** min(failures, 20)))  # noqa: S311 - spreads load, guards nothing


def _next(one: Outgoing, outcome: Outcome, now: datetime) -> datetime | None:
    if not isinstance(outcome, Retry) or not (outcome.tried or outcome.after_secs):
        return None
    return now + timedelta(seconds=outcome.after_secs or back_off(one.attempts))


def _type(settings: Any) -> str:
    return str(settings.type)
