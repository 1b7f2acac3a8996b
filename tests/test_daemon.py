"""The daemon: the same answer as a replay, an orderly end, reloads that keep the last good set, no blind start."""

import json
import shutil
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sentinel.daemon import Daemon
from sentinel.extract import Ruling
from sentinel.investigate.replay import Inquiry, replay
from sentinel.policy.policy import Policy
from sentinel.problems import Problems
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import load_catalog
from sentinel.store.nothing import NoStore
from sentinel.store.store import Store, url_of

DEMO = Path(__file__).parents[1] / "sentinel" / "demo" / "data"
HIT = "1795411169.935      3 10.0.0.{} TCP_MISS/200 374 GET https://pimeyes.com/ - HIER_DIRECT/192.0.2.9 text/html\n"


def configured(folder, *sources, **settings):
    path = folder / "sentinel.yaml"
    everything = {"store": "state.db", "timezone": "UTC", "sources": list(sources), **settings}
    path.write_text(json.dumps(everything))
    return path


def follow(path):
    return {"type": "file", "path": str(path), "poll_secs": 0.1}


@contextmanager
def running(config):
    daemon = Daemon(config)
    status = []
    thread = threading.Thread(target=lambda: status.append(daemon.run()))
    thread.start()
    try:
        yield daemon
    finally:
        daemon.stop()
        thread.join(10)
    assert status == [0], "it ends within ten seconds, and well"


def until(condition, secs=90):
    end = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.05)


def kept(folder):
    store = Store.open(url_of("state.db", folder))
    try:
        return store.sessions(), store.findings(), store.alerts()
    finally:
        store.close()


def told(sessions):
    return sorted(
        (s.service, s.client, s.users, s.stage, s.basis, s.started, s.ended, s.searches, s.findings, s.names) for s in sessions
    )


def replayed(kind, *paths):
    ruling = Ruling.of(load_catalog([builtin_rules()]), Policy())
    inquiry = Inquiry(kind=kind, paths=[str(p) for p in paths], ruling=ruling, store=NoStore(), zone="UTC")
    return replay(inquiry)


@pytest.mark.integration
def test_the_daemon_and_both_replays_tell_the_same(tmp_path):
    """There is one engine: what it says must not depend on the way the bytes came in."""
    for name in ("access.log", "dnsmasq.log", "gateway.pcap"):
        shutil.copy(DEMO / name, tmp_path)
    sources = [
        follow(tmp_path / "access.log"),
        follow(tmp_path / "dnsmasq.log"),
        {"type": "capture", "path": str(tmp_path / "gateway.pcap")},
    ]
    logs = replayed("logs", tmp_path / "access.log", tmp_path / "dnsmasq.log")
    packets = replayed("pcap", tmp_path / "gateway.pcap")
    with running(configured(tmp_path, *sources)):
        until(lambda: len(kept(tmp_path)[1]) >= len(logs.findings) + len(packets.findings))
    sessions, findings, _ = kept(tmp_path)
    alike = set(told(sessions))
    assert set(told(packets.sessions)) <= alike
    assert set(told(logs.sessions)) <= alike
    assert len(findings) == len(logs.findings) + len(packets.findings)


def test_a_second_start_goes_on_where_the_first_stopped(tmp_path):
    """Nothing lost, nothing twice."""
    log = tmp_path / "access.log"
    log.write_text(HIT.format(1))
    config = configured(tmp_path, follow(log))
    with running(config):
        until(lambda: len(kept(tmp_path)[1]) == 1)
    with log.open("a") as file:
        file.write(HIT.format(2))
    with running(config):
        until(lambda: len(kept(tmp_path)[1]) == 2)
    assert [s.findings for s in kept(tmp_path)[0]] == [1, 1]


@pytest.mark.integration
def test_a_followed_capture_is_not_told_twice_after_a_restart(tmp_path):
    """Its packets are decoded again from the beginning, and what was committed is not given out again."""
    shutil.copy(DEMO / "gateway.pcap", tmp_path)
    config = configured(tmp_path, {"type": "capture", "path": str(tmp_path / "gateway.pcap")})
    for _ in range(2):
        with running(config):
            until(lambda: len(kept(tmp_path)[1]) == 5)
            time.sleep(0.5)
    (session,) = kept(tmp_path)[0]
    assert session.findings == 5


def test_a_reload_takes_new_rules_and_policy(tmp_path):
    """An administrator adds a service at noon and wants it watched at noon."""
    log = tmp_path / "access.log"
    log.write_text(HIT.format(1))
    config = configured(tmp_path, follow(log))
    with running(config) as daemon:
        until(lambda: len(kept(tmp_path)[1]) == 1)
        before = daemon.ruling
        configured(tmp_path, follow(log), policy={"sanctioned": [{"service": "pimeyes"}]})
        daemon.ask_reload()
        until(lambda: daemon.ruling is not before)
        with log.open("a") as file:
            file.write(HIT.format(2))
        until(lambda: len(kept(tmp_path)[1]) == 2)
    assert sorted(s.verdict.value for s in kept(tmp_path)[0]) == ["sanctioned", "unsanctioned"]


@pytest.mark.integration
def test_identity_sources_are_followed_and_an_ended_exception_is_told_once(tmp_path):
    """Who had the address is in the session; a record that comes later revises it; oversight hears of the exception's end."""
    log, table = tmp_path / "access.log", tmp_path / "static.csv"
    now = datetime.now(UTC)
    before, ended, after = ((now + timedelta(hours=hours)).isoformat() for hours in (-3, -1, 3))
    log.write_text(HIT.format(1).replace("1795411169.935", f"{(now - timedelta(hours=2)).timestamp():.3f}"))
    head = f"address,user,from,until\n10.0.0.1,ebert,{before},{after}\n"
    table.write_text(head)
    exception = {
        "service": "pimeyes", "person": "ebert", "from": before, "until": ended, "case": "12/26", "legal_basis": "order",
        "approved_by": "Adams",
    }  # fmt: skip
    config = configured(tmp_path, follow(log), identity=[{"path": "static.csv"}], policy={"exceptions": [exception]})
    with running(config):
        until(lambda: [(s.user, s.verdict.value) for s in kept(tmp_path)[0]] == [("ebert", "excepted")])
        table.write_text(head + f"10.0.0.1,ruiz,{before},{after}\n")
        until(lambda: [(s.user, s.verdict.value) for s in kept(tmp_path)[0]] == [(None, "unsanctioned")])
    with running(config):
        until(lambda: "exception-ended" in alerts_of(tmp_path))
    kinds = alerts_of(tmp_path)
    assert kinds.count("exception-ended") == 1
    assert "revised" in kinds


def alerts_of(folder):
    store = Store.open(url_of("state.db", folder))
    try:
        return [alert.kind for alert in store.alerts()]
    finally:
        store.close()


def test_a_reload_with_a_mistake_keeps_the_last_good_set(tmp_path):
    """A typing mistake must not blind the monitor."""
    log = tmp_path / "access.log"
    log.write_text(HIT.format(1))
    config = configured(tmp_path, follow(log))
    with capture_logs() as told, running(config) as daemon:
        until(lambda: len(kept(tmp_path)[1]) == 1)
        config.write_text("sources: [{type: file, pth: x}]")
        daemon.ask_reload()
        until(lambda: any(event.get("event") == "reload refused, the last good set stays" for event in told))
        with log.open("a") as file:
            file.write(HIT.format(2))
        until(lambda: len(kept(tmp_path)[1]) == 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"builtin_rules": False}, "no rules"), ({}, "no source can be read"), ({"rules": ["nowhere"]}, "no such folder")],
)
def test_it_refuses_to_start_blind(tmp_path, settings, words):
    """Confidently watching nothing is worse than not starting."""
    log = tmp_path / "access.log"
    if "builtin_rules" in settings or "rules" in settings:
        log.touch()
    with pytest.raises(Problems, match=words):
        Daemon(configured(tmp_path, follow(log), **settings))
