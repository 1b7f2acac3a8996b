"""Draining the outbox: against the real store, with sinks that do what receivers do."""

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from pydantic import Field

from sentinel.activity.records import Alert
from sentinel.sinks import KINDS, delivery
from sentinel.sinks.delivery import Drain, accepts, deliver_all, try_out
from sentinel.sinks.file import FileSettings
from sentinel.sinks.kind import SinkKind, SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Outcome, Rejected, Retry
from sentinel.store.store import Step, Store
from sentinel.terms import Severity, Stage
from tests.integration.lab import wait_until
from tests.schemas.alerts import START, alert, session


@dataclass
class Receiver:
    """What the receiver of a sink does: `answer` is asked for each document."""

    answer: object = lambda _document: Delivered()
    asked: list[tuple[float, list[str]]] = field(default_factory=list)
    opened: int = 0
    closed: int = 0

    def open(self, _settings):
        self.opened += 1
        return self

    def send(self, documents: list[Document]) -> list[Outcome]:
        self.asked.append((time.monotonic(), [document.id for document in documents]))
        return [self.answer(document) for document in documents]

    def close(self) -> None:
        self.closed += 1


class Settings(SinkSettings):
    """Settings of a sink for tests."""

    type: str = "made"
    largest: int = Field(8000)
    schema_name: ClassVar[str] = "json"

    @property
    def room(self) -> int:
        return self.largest


@pytest.fixture
def receiver(monkeypatch):
    """A receiver behind the sink kind "made", which takes three documents at a time."""
    made = Receiver()
    monkeypatch.setitem(KINDS, "made", SinkKind(name="made", settings=Settings, open=made.open, batch=3))
    return made


@pytest.fixture
def store():
    """A store in memory."""
    made = Store.memory()
    yield made
    made.close()


def queue(store: Store, count: int, sink: str = "s") -> list[str]:
    """Queue so many alerts, each of a session of its own; return their ids."""
    sessions = [session(id=f"se_{number}") for number in range(count)]
    alerts = [alert(of, id=f"al_{number}") for number, of in enumerate(sessions)]
    store.commit(Step(sessions=sessions, alerts=alerts, sinks={one.id: [sink] for one in alerts}))
    return [one.id for one in alerts]


@pytest.fixture
def running(store):
    """Start drains, and end them with the test; each has to end within two seconds."""
    stop, wake, threads = threading.Event(), threading.Event(), []

    def start(settings=None) -> threading.Event:
        drain = Drain(settings or Settings(name="s"), store)
        thread = threading.Thread(target=drain.run, args=(stop, wake))
        thread.start()
        threads.append(thread)
        return wake

    yield start
    stop.set()
    wake.set()
    began = time.monotonic()
    for thread in threads:
        thread.join(10)
    assert time.monotonic() - began < 2


def asked_for(receiver: Receiver) -> list[str]:
    """Return the ids in the order in which they were sent."""
    return [identity for _time, ids in receiver.asked for identity in ids]


def test_what_waits_is_delivered_in_batches(receiver, store, running):
    """In the order in which it was raised, and once."""
    ids = queue(store, 7)
    running()
    wait_until(lambda: not store.backlog("s"), "all is delivered")
    assert [ids for _time, ids in receiver.asked] == [ids[:3], ids[3:6], ids[6:]]


def test_a_wake_is_answered_at_once(receiver, store, running, monkeypatch):
    """Staff hears within a second: not after the next look."""
    monkeypatch.setattr(delivery, "LOOK_SECS", 30)
    wake = running()
    time.sleep(0.2)
    queue(store, 1)
    wake.set()
    wait_until(lambda: asked_for(receiver) == ["al_0"], "it is sent", secs=2)
    assert not wake.is_set()


def test_a_sink_that_is_down_is_asked_with_one_alert_at_a_time(receiver, store, running, monkeypatch):
    """And not for every alert that waits: the receiver needs its breath to come back."""
    monkeypatch.setattr(delivery, "BASE_SECS", 0.05)
    down = True
    receiver.answer = lambda _document: Retry("connection refused") if down else Delivered()
    ids = queue(store, 6)
    running()
    wait_until(lambda: len(receiver.asked) >= 4, "it was asked some times")
    down = False
    wait_until(lambda: not store.backlog("s"), "all is delivered")
    assert receiver.asked[0][1] == ids[:3]
    assert all(len(asked) == 1 for _time, asked in receiver.asked[1:4])
    assert sorted(set(asked_for(receiver))) == ids


def test_a_receiver_that_names_a_time_gets_it(receiver, store, running):
    """`Retry-After` wins over our own schedule, for the whole sink."""
    answers = iter([Retry("HTTP 429", after_secs=1.2)])
    receiver.answer = lambda _document: next(answers, Delivered())
    queue(store, 2)
    store.settle("s", [("al_1", Delivered(), None)], START)
    running()
    wait_until(lambda: not store.backlog("s"), "it is delivered")
    (first, _), (second, _) = receiver.asked
    assert 1.2 <= second - first < 3


def test_what_is_refused_is_a_dead_letter_and_holds_nothing_up(receiver, store, running):
    """In the receiver's words, so that somebody can mend it."""
    receiver.answer = lambda document: Rejected("HTTP 410: gone") if document.id == "al_0" else Delivered()
    queue(store, 3)
    running()
    wait_until(lambda: not store.backlog("s"), "nothing waits")
    assert [(dead.alert.id, dead.answer) for dead in store.dead("s")] == [("al_0", "HTTP 410: gone")]


def test_one_alert_that_is_never_taken_lets_the_others_pass(receiver, store, running, monkeypatch):
    """Tried again for ever, it may slow the sink down for a moment, and no more."""
    monkeypatch.setattr(delivery, "BASE_SECS", 0.1)
    receiver.answer = lambda document: Retry("HTTP 400") if document.id == "al_0" else Delivered()
    queue(store, 8)
    running()
    wait_until(lambda: store.backlog("s") == 1, "the others are delivered", secs=10)


def test_a_stop_leaves_the_rest_waiting(receiver, store):
    """A receiver that hangs must not hold up the daemon's end; what was not answered is sent again at the next start."""
    hang, stop = threading.Event(), threading.Event()
    receiver.answer = lambda _document: hang.wait(20) and Delivered()
    queue(store, 5)
    thread = threading.Thread(target=Drain(Settings(name="s"), store).run, args=(stop, threading.Event()))
    thread.start()
    wait_until(lambda: receiver.asked, "it is asked")
    began = time.monotonic()
    stop.set()
    thread.join(10)
    assert time.monotonic() - began < 2
    assert store.backlog("s") == 5
    hang.set()
    wait_until(lambda: receiver.closed, "the sink is closed by whoever used it last")


def test_a_sink_that_never_comes_back_is_opened_anew(receiver, store, running, monkeypatch):
    """Time-outs can have gaps; a thread in one of them must not silence the sink for ever."""
    monkeypatch.setattr(delivery, "SEND_SECS", 0.3)
    monkeypatch.setattr(delivery, "BASE_SECS", 0.05)
    hang = threading.Event()
    receiver.answer = lambda _document: Delivered(str(receiver.opened > 1 or hang.wait(20)))
    queue(store, 1)
    running()
    wait_until(lambda: not store.backlog("s"), "it is delivered")
    hang.set()
    assert receiver.opened == 2


def test_a_bug_in_a_sink_is_a_retry(receiver, store, running, monkeypatch):
    """A thread that dies silently would be a sink that is silent for ever."""
    monkeypatch.setattr(delivery, "BASE_SECS", 0.05)
    broken = iter([True])

    def answer(_document):
        if next(broken, False):
            raise ZeroDivisionError
        return Delivered()

    receiver.answer = answer
    queue(store, 1)
    running()
    wait_until(lambda: not store.backlog("s"), "it is delivered in the end")


def test_a_store_that_fails_for_a_moment_is_asked_again(receiver, store, running, monkeypatch):
    """A full disk gets emptied; what had been delivered by then is delivered twice, never lost."""
    monkeypatch.setattr(delivery, "BASE_SECS", 0.05)
    real, failing = store.settle, iter([True, True])

    def settle(*args):
        if next(failing, False):
            raise OSError(28, "No space left on device")
        real(*args)

    monkeypatch.setattr(store, "settle", settle)
    queue(store, 1)
    running()
    wait_until(lambda: not store.backlog("s"), "it is written down in the end")
    assert asked_for(receiver) == ["al_0"] * 3


def test_what_cannot_be_made_small_enough_is_a_dead_letter(receiver, store, running):
    """Sent, it would be cut by the receiver, and be no document at all."""
    queue(store, 1)
    running(Settings(name="s", largest=200))
    wait_until(lambda: not store.backlog("s"), "nothing waits")
    (dead,) = store.dead("s")
    assert "200 are allowed" in dead.answer
    assert receiver.asked == []


@pytest.mark.parametrize(
    ("changed", "made", "accepted"),
    [
        ({}, alert(), True),
        ({"minimum_severity": "critical"}, alert(), False),
        ({"minimum_stage": "result"}, alert(), False),
        ({"minimum_stage": "search"}, alert(), True),
        ({"events": ["closed"]}, alert(), False),
        ({}, alert(severity=Severity.INFO), False),
        ({}, alert(session(stage=Stage.LOOKUP), severity=Severity.LOW), True),
        ({"minimum_severity": "critical", "events": ["closed"]}, delivery.test_alert("s", START), True),
    ],
)
def test_each_sink_gets_what_it_asked_for(changed, made, accepted):
    """A pager wants little, an archive everything; a test reaches both."""
    assert accepts(Settings(name="s", **changed), made) is accepted


def test_a_silent_source_has_no_stage_to_be_too_low():
    """A pager that wants searches alone still has to hear that nothing is seen any more."""
    silent = Alert(id="al", kind="source-silent", created=START, severity=Severity.HIGH, session=None, text="squid is silent")
    assert accepts(Settings(name="s", minimum_stage="search"), silent)


def test_trying_a_sink_out_sends_a_marked_alert(tmp_path):
    """Through the same schema, limits and sink as every alert."""
    path = tmp_path / "alerts.jsonl"
    assert try_out(FileSettings(type="file", name="f", path=path)) == Delivered()
    sent = json.loads(path.read_text())
    assert sent["type"] == "sentinel.sink.test"
    assert "nothing happened" in sent["data"]["text"]
    assert len(sent["id"]) <= 40


def test_a_replay_delivers_everything_and_ends(store, tmp_path):
    """`replay --deliver` is over when its alerts have arrived."""
    path = tmp_path / "alerts.jsonl"
    ids = queue(store, 450, sink="f")
    assert deliver_all([FileSettings(type="file", name="f", path=path)], store) == 0
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ids


def test_a_replay_gives_up_and_says_what_is_left(receiver, store, monkeypatch):
    """A receiver that is down must not hold an investigation for ever."""
    monkeypatch.setattr(delivery, "EMPTY_SECS", 0.3)
    receiver.answer = lambda _document: Retry("connection refused")
    queue(store, 2)
    assert deliver_all([Settings(name="s")], store) == 2


def test_waits_grow_and_stay_below_five_minutes():
    """Full jitter: between nothing and twice the wait before, so that sinks that failed together do not come back together."""
    assert all(0 <= delivery.back_off(0) <= 1 for _ in range(100))
    assert max(delivery.back_off(3) for _ in range(200)) > 4
    assert max(delivery.back_off(1000) for _ in range(200)) <= 300


def test_a_retry_is_not_due_before_its_time(receiver, store, running):
    """The next attempt's time is kept in the store, so that a restart does not forget it."""
    receiver.answer = lambda _document: Retry("HTTP 503", after_secs=100)
    queue(store, 1)
    running()
    wait_until(lambda: receiver.asked, "it is asked")
    wait_until(lambda: store.next_due("s") > datetime.now(UTC) + timedelta(seconds=90), "it waits")
