"""The store: one transaction a step, nothing twice, and the same values back."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from sentinel.coverage import Coverage
from sentinel.sinks.outcome import Delivered
from sentinel.store.store import Step, Store, UnusableStoreError, url_of
from tests.store.made import START, alert, finding, session, step


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path):
    """A new store, of both kinds: they have to behave alike."""
    made = Store.open(f"sqlite:///{tmp_path}/state.db") if request.param == "file" else Store.memory()
    yield made
    made.close()


def test_a_step_comes_back_as_it_was_committed(store):
    """Everything of it: what is asked later is answered from here."""
    store.commit(step(1))
    assert store.findings() == [finding(1)]
    assert store.findings(session="s") == store.findings(ids=["fi_1", "fi_2"]) == [finding(1)]
    assert store.findings(session="other") == store.findings(ids=[]) == []
    assert store.belongs() == {"fi_1": "s"}
    assert store.sessions() == store.open_sessions() == [session("s", end=1, findings=1)]
    assert store.session("s") == session("s", end=1, findings=1)
    assert store.session("other") is None
    assert store.alerts() == store.alerts(session="s") == [store.alert("al_1")]
    assert store.alert("other") is None
    assert store.positions() == {"log": {"offset": 1}}
    assert store.known(["fi_1", "fi_2"]) == {"fi_1"}


def test_what_is_committed_is_there_after_a_reopen(tmp_path):
    """The daemon goes on from it."""
    url = url_of("deep/state.db", tmp_path)
    first = Store.open(url)
    first.commit(step(1))
    first.close()
    again = Store.open(url)
    assert again.findings() == [finding(1)]
    assert again.waiting() == 2
    again.close()
    assert (tmp_path / "deep" / "state.db").stat().st_mode & 0o007 == 0


def test_a_path_with_a_question_mark_is_a_path(tmp_path):
    """A folder may be called so; a URL's options do not begin there."""
    Store.open(url_of("why?x=%41.db", tmp_path)).close()
    assert (tmp_path / "why?x=%41.db").exists()


def test_the_same_step_twice_changes_nothing(store):
    """After a crash the source reads again what it cannot know to be committed."""
    store.commit(step(1))
    head = store.head()
    store.settle("hook", [("al_1", Delivered("ok"), None)], START)
    store.commit(step(1))
    assert store.head() == head
    assert (len(store.findings()), len(store.alerts())) == (1, 1)
    assert (store.backlog("hook"), store.backlog("syslog")) == (0, 1)


def test_a_finding_given_twice_in_one_step_is_kept_once_with_its_first_session(store):
    """Two sources may hold the same record."""
    pair = [(finding(1), "a"), (finding(2), "a"), (finding(1), "b")]
    store.commit(Step(findings=pair, sessions=[session("a"), session("b")]))
    assert store.belongs() == {"fi_1": "a", "fi_2": "a"}
    assert [one.id for one in store.findings()] == ["fi_1", "fi_2"]


def test_many_findings_are_kept_and_asked_for_at_once(store):
    """A database bounds the parameters of a statement; a batch does not."""
    store.commit(Step(findings=[(finding(n), "s") for n in range(1200)], sessions=[session("s")]))
    ids = [f"fi_{n}" for n in range(1200)]
    assert store.known(ids) == set(ids)
    assert [one.id for one in store.findings(ids=ids)] == ids
    assert store.verify_chain() is None


def test_a_step_that_fails_leaves_nothing(store):
    """A position without its findings would lose them for good."""
    total = Coverage(path="log", bytes=10, records=1)
    broken = Step(
        findings=[(finding(1), "no such session")],
        alerts=[alert("al_1")],
        sinks={"al_1": ["hook"]},
        positions={"log": {"offset": 1}},
        coverage=[total],
    )
    with pytest.raises(IntegrityError):
        store.commit(broken)
    assert (store.findings(), store.alerts(), store.positions(), store.inputs(), store.waiting()) == ([], [], {}, [], 0)
    store.commit(Step(coverage=[total]))
    assert [one.bytes for one in store.inputs()] == [10]  # what failed was not counted as committed


CHILD = """
import itertools, sys
from sentinel.sinks.outcome import Delivered
from sentinel.store.store import Store
from tests.store.made import step
store = Store.open(sys.argv[1])
for number in itertools.count(len(store.findings()) + 1):
    store.commit(step(number))
    print(number, flush=True)
"""


@pytest.mark.integration
def test_a_store_is_at_a_step_boundary_after_sigkill(tmp_path):
    """At whatever instant: nothing that was acknowledged is lost, and no half of a step is there."""
    url = f"sqlite:///{tmp_path}/state.db"
    root = Path(__file__).parents[2]
    for life in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, url], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE
        )
        for _ in range(3 + 7 * life):
            said = child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        acknowledged = int(([said, *child.stdout.readlines()])[-1])
        child.wait()
        child.stdout.close()
        store = Store.open(url)
        count = len(store.findings())
        assert count in (acknowledged, acknowledged + 1)
        assert len(store.alerts()) == store.backlog("hook") == store.backlog("syslog") == count
        assert store.positions() == {"log": {"offset": count}}
        assert store.sessions() == [session("s", end=count, findings=count)]
        assert store.verify_chain() is None
        store.close()


def test_a_session_is_replaced_by_its_later_state_never_by_an_earlier_revision(store):
    """A replayed step must not reopen what was closed since."""
    store.commit(Step(sessions=[session("s")]))
    store.commit(Step(sessions=[session("s", revision=1, open=False)]))
    assert store.open_sessions() == []
    store.commit(Step(sessions=[session("s")]))
    assert store.sessions() == [session("s", revision=1, open=False)]


def test_merged_sessions_hand_over_their_findings_and_alerts(store):
    """A late record may show that two sessions were one; no finding may name a session that is no more."""
    store.commit(Step(findings=[(finding(1), "a")], sessions=[session("a")], alerts=[alert("al_1", session("a"))], sinks={}))
    store.commit(Step(findings=[(finding(2), "b")], sessions=[session("b")], merged={"a": "b"}))
    assert store.belongs() == {"fi_1": "b", "fi_2": "b"}
    assert [one.id for one in store.sessions()] == ["b"]
    assert [one.id for one in store.alerts(session="b")] == ["al_1"]
    assert store.verify_chain() is None  # whose session a finding is, is a conclusion, not evidence


def test_recent_sessions_are_the_open_ones_and_those_that_a_late_finding_can_join(store):
    """They are taken up at the start; of years of closed sessions nothing is."""
    old, late = session("old", open=False), session("late", end=200_000, open=False)
    store.commit(Step(sessions=[old, late, session("open")]))
    assert {one.id for one in store.recent_sessions()} == {"late", "open"}
    assert {one.id for one in store.recent_sessions(START)} == {"old", "late", "open"}


def test_a_session_from_the_future_does_not_hide_the_others(store):
    """One device with a wrong clock would make all its neighbours' sessions seem long past."""
    recent = datetime.now(UTC) - timedelta(hours=1)
    future = session("future", ended=datetime.now(UTC) + timedelta(days=900), open=False)
    store.commit(Step(sessions=[future, session("recent", ended=recent, open=False)]))
    assert {one.id for one in store.recent_sessions()} == {"future", "recent"}


def test_sessions_are_asked_for_by_service(store):
    """As `sentinel sessions --service` does."""
    store.commit(Step(sessions=[session("a"), session("b", service="clearview-ai")]))
    assert [one.id for one in store.sessions(service="clearview-ai")] == ["b"]


def test_positions_are_replaced_and_forgotten(store):
    """A file that is gone needs no position; keys of any bytes are kept."""
    store.commit(Step(positions={"a": {"offset": 1}, "b\udcff\0'\"": {"offset": 2}}))
    store.commit(Step(positions={"a": {"offset": 3}}, forget=["b\udcff\0'\""]))
    assert store.positions() == {"a": {"offset": 3}}


def test_a_rule_set_is_kept_once(store):
    """Each finding names the digest; the text shows what it meant."""
    for _ in range(2):
        store.commit(Step(ruleset=("d" * 64, "text é")))
    assert store.rulesets() == {"d" * 64: "text é"}


def test_coverage_adds_up_over_commits_and_restarts(tmp_path):
    """The engine's totals start from nothing at each start; what was read before must neither vanish nor count twice."""
    url = f"sqlite:///{tmp_path}/state.db"
    for _ in range(2):
        store = Store.open(url)
        total = Coverage(path="log-\udcff", format="bind9", sampled=False)
        for hour in range(2):
            total.bytes += 10
            total.records += 2
            total.parsed += 1
            total.unreadable["doh"] += 1
            total.saw(START + timedelta(hours=hour))
            total.note("the same note")
            store.commit(Step(coverage=[total]))
        store.commit(Step(coverage=[total]))
        store.close()
    store = Store.open(url)
    (account,) = store.inputs()
    assert (account.path, account.bytes, account.records, account.parsed) == ("log-\udcff", 40, 8, 4)
    assert (account.unreadable, account.notes) == (Counter(doh=4), ["the same note"])
    assert (account.first, account.last) == (START, START + timedelta(hours=1))
    hours = store.coverage()
    assert [(one.hour, one.bytes, one.unreadable) for one in hours] == [
        (START, 20, Counter(doh=2)),
        (START + timedelta(hours=1), 20, Counter(doh=2)),
    ]
    assert store.coverage("other") == []
    store.close()


def test_an_input_that_was_once_incomplete_stays_so(store):
    """What was lost is not found again by reading on."""
    store.commit(Step(coverage=[Coverage(path="log", complete=False, notes=["offset 3: damaged"])]))
    store.commit(Step(coverage=[Coverage(path="log", bytes=5)]))
    (account,) = store.inputs()
    assert not account.complete
    assert account.notes == ["offset 3: damaged"]


@pytest.mark.parametrize("kind", ["a folder", "another file"])
def test_what_is_no_store_is_refused_in_words(tmp_path, kind):
    """A person's mistake in the settings, not a bug of ours."""
    path = tmp_path / "state.db"
    if kind == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"these are notes of mine, not a database\n" * 100)
    with pytest.raises(UnusableStoreError, match=r"state\.db"):
        Store.open(f"sqlite:///{path}")


def test_the_file_keeps_what_it_acknowledged_through_a_loss_of_power(tmp_path):
    """WAL with synchronous=FULL: NORMAL may forget the last commits, whose alerts were delivered."""
    store = Store.open(f"sqlite:///{tmp_path}/state.db")
    with store._engine.connect() as connection:
        asked = [
            connection.exec_driver_sql(f"PRAGMA {one}").scalar() for one in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert asked == ["wal", 2, 1]
    store.close()


@pytest.mark.integration
def test_threads_commit_drain_and_read_at_once(store):
    """One thread owns the engine, one each sink, and people ask meanwhile; nobody meets a busy database."""
    total, failures, sent = 60, [], {"hook": [], "syslog": []}
    committed = threading.Event()

    def guarded(work, *args):
        try:
            work(*args)
        except Exception as error:
            failures.append(error)

    def commit():
        for number in range(1, total + 1):
            store.commit(step(number))
        committed.set()

    def drain(sink):
        while not committed.is_set() or store.backlog(sink):
            out = store.due(sink, datetime.now(UTC), 10)
            sent[sink] += [one.alert.id for one in out]
            store.settle(sink, [(one.alert.id, Delivered(), None) for one in out], datetime.now(UTC))

    def read():
        while not committed.is_set():
            found = store.sessions()
            assert not found or found[0].findings <= len(store.findings())

    works = [(commit,), (drain, "hook"), (drain, "syslog"), (read,)]
    threads = [threading.Thread(target=guarded, args=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sent["hook"] == sent["syslog"] == [f"al_{number}" for number in range(1, total + 1)]
    assert store.waiting() == 0


def test_another_process_that_writes_is_waited_for(tmp_path):
    """The command line may write while the daemon does."""
    store = Store.open(f"sqlite:///{tmp_path}/state.db")
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, lambda: other.execute("COMMIT"))
    release.start()
    store.commit(step(1))
    release.join()
    assert len(store.findings()) == 1
    other.close()
    store.close()
