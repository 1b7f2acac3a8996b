"""What is built aside: rules at once, other settings on SIGHUP, the last good set whatever happens."""

import json
import threading

from structlog.testing import capture_logs

from sentinel.config.loading import load
from sentinel.extract import Ruling
from sentinel.reload import Reloader
from tests.signatures.written import RULE


class Bench:
    """A configuration, and a reloader that is asked step by step."""

    def __init__(self, folder, **settings):
        self.folder, self.config = folder, folder / "sentinel.yaml"
        (folder / "a.log").touch()
        (folder / "rules").mkdir()
        self.rule("one")
        self.write(**settings)
        loaded = load(self.config)
        self.ruling = Ruling.of(loaded.catalog, loaded.policy)
        self.reloader = Reloader(self.config, loaded, self.ruling)

    def write(self, **settings):
        everything = {"builtin_rules": False, "rules": ["rules"], "sources": [{"type": "file", "path": "a.log"}], **settings}
        self.config.write_text(json.dumps(everything))

    def rule(self, name):
        (self.folder / "rules" / f"{name}.yaml").write_text(RULE.format(id=name))

    def prepare(self, *, asked=False):
        self.reloader._prepare(asked=asked)
        return self.reloader.take()


def test_new_rules_are_ready_without_a_new_start(tmp_path):
    """What runs goes on; the engine takes the rules over once."""
    bench = Bench(tmp_path)
    bench.rule("two")
    ready = bench.prepare()
    assert (sorted(ready.ruling.catalog.services), ready.restart) == (["one", "two"], False)
    assert bench.reloader.take() is None


def test_the_scanners_in_use_are_compiled_before_they_are_needed(tmp_path):
    """Compiling a large list takes seconds, in which the engine would read nothing."""
    bench = Bench(tmp_path)
    bench.ruling.matcher.scan(memoryview(b"x"), "json", (b"#fields",))
    bench.rule("two")
    assert set(bench.prepare().ruling.matcher._scanners) == {("json", (b"#fields",))}


def test_other_settings_wait_for_a_signal(tmp_path):
    """A half-written settings file must not restart sources; and SIGHUP with nothing new must not either."""
    bench = Bench(tmp_path)
    assert bench.prepare(asked=True).restart is False
    bench.write(session_gap_minutes=5)
    with capture_logs() as told:
        ready = bench.prepare()
    assert (ready.restart, ready.loaded.settings.session_gap_minutes) == (False, 30)
    assert any("SIGHUP takes the rest" in event["event"] for event in told)
    ready = bench.prepare(asked=True)
    assert (ready.restart, ready.loaded.settings.session_gap_minutes) == (True, 5)
    assert bench.prepare(asked=True).restart is False


def test_a_file_that_settings_name_counts_as_one_of_them(tmp_path):
    """A renewed certificate has the same name: SIGHUP is how the daemon hears of it."""
    (tmp_path / "ca.pem").write_text("old")
    sink = {"type": "syslog", "name": "desk", "host": "h", "transport": "tls", "schema": "cef", "ca_file": "ca.pem"}
    bench = Bench(tmp_path, sinks=[sink])
    assert bench.prepare(asked=True).restart is False
    (tmp_path / "ca.pem").write_text("newer")
    assert bench.prepare(asked=True).restart is True


def test_what_was_ready_and_not_taken_still_restarts(tmp_path):
    """Two changes before the engine comes round: the second must not swallow the first."""
    bench = Bench(tmp_path)
    bench.write(session_gap_minutes=5)
    bench.reloader._prepare(asked=True)
    bench.rule("two")
    assert bench.prepare().restart is True


def test_a_bad_set_is_refused_and_told(tmp_path):
    """With every mistake in it; nothing becomes ready."""
    bench = Bench(tmp_path)
    (tmp_path / "rules" / "two.yaml").write_text("schema: 1\nid: two\n")
    with capture_logs() as told:
        assert bench.prepare() is None
    (refused,) = [event for event in told if event["log_level"] == "error"]
    assert (refused["event"], "two.yaml" in str(refused["problems"])) == ("reload refused, the last good set stays", True)


def test_a_list_that_came_empty_is_refused(tmp_path):
    """A failed download must not make the watch forget."""
    (tmp_path / "list.txt").write_text("bad.example\n")
    bench = Bench(tmp_path, feeds=[{"id": "list", "path": "list.txt"}])
    (tmp_path / "list.txt").write_text("")
    assert bench.prepare() is None
    (tmp_path / "list.txt").write_text("worse.example\n")
    assert list(bench.prepare().ruling.catalog.services["list"].hosts) == ["worse.example"]


def test_a_change_is_seen_by_itself(tmp_path):
    """Nobody has to send a signal."""
    bench = Bench(tmp_path)
    stop, ready = threading.Event(), None
    thread = threading.Thread(target=bench.reloader.run, args=(stop,))
    thread.start()
    try:
        bench.rule("two")
        for _ in range(1200):
            ready = bench.reloader.take()
            if ready or stop.wait(0.1):
                break
    finally:
        stop.set()
        thread.join()
    assert ready
    assert sorted(ready.ruling.catalog.services) == ["one", "two"]
