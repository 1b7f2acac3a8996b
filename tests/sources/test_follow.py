"""A followed log: every line that was written is read, and read once, whatever rotation and a kill do meanwhile."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from sentinel.sources import follow
from sentinel.sources.batch import Loss
from sentinel.sources.follow import Follow

POLL = 0.02
QUIET = 0.25
SEEDS = 6


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch):
    monkeypatch.setattr(follow, "GRACE", 0.1)


class Lines:
    """Writes numbered log lines, so that a missing or doubled one is told by its number."""

    def __init__(self, name: str = "line") -> None:
        self.name = name
        self.written: list[bytes] = []

    def some(self, count: int = 1) -> bytes:
        new = [f"2026-03-01T10:00:00Z {self.name} {len(self.written) + n} {'x' * (n % 7)}\n".encode() for n in range(count)]
        self.written += new
        return b"".join(new)

    def append(self, path: Path, count: int = 1) -> None:
        with path.open("ab") as file:
            file.write(self.some(count))


class Consumer:
    """What the engine is to a source: takes batches in a thread of its own, and keeps lines and positions in one step."""

    def __init__(self, *patterns: Path | str, **settings: Any) -> None:
        self.patterns = [str(pattern) for pattern in patterns]
        self.settings = {"poll_secs": POLL, "start": "beginning", **settings}
        self.committed: dict[str, Any] = {}
        self.lines: list[bytes] = []
        self.losses: list[Loss] = []
        self.caught_up = 0
        self.ended: list[str] = []
        self._last = time.monotonic()
        self._killed = False
        self._failure: BaseException | None = None

    def start(self) -> None:
        self._stop, self._killed = threading.Event(), False
        self._thread = threading.Thread(target=self._run, args=(self._stop,))
        self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        try:
            positions = json.loads(json.dumps(self.committed))
            for batch in Follow(self.patterns, **self.settings).batches(stop, positions):
                if self._killed:
                    return
                kept = self.committed.get(batch.input.key, {})
                data = bytes(batch.data)
                if not batch.caught_up and len(data) and "offset" in kept:
                    assert batch.offset >= kept["offset"]
                assert data.endswith(b"\n") or batch.ends or not data
                self.lines += data.splitlines(keepends=True)
                self.losses += batch.losses
                self.caught_up += batch.caught_up
                self.committed[batch.input.key] = dict(batch.position)
                if batch.ends:
                    self.ended.append(batch.input.key)
                if len(data) or batch.caught_up:
                    self._last = time.monotonic()
        except BaseException as error:
            self._failure = error

    def kill(self) -> None:
        """Commit nothing more; what was handed out but not committed is forgotten, as kill -9 forgets it."""
        self._killed = True
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive(), "a source ends soon after it is told to"
        if self._failure:
            raise self._failure

    def wait_for(self, what: Callable[[], bool], secs: float = 10) -> None:
        until = time.monotonic() + secs
        while not what() and time.monotonic() < until and self._failure is None:
            time.sleep(0.01)

    def reads_all(self, lines: Lines) -> None:
        """Hold that all that was written is read, once."""
        self.wait_for(lambda: len(self.lines) >= len(lines.written))
        time.sleep(QUIET)
        missing, doubled = Counter(lines.written) - Counter(self.lines), Counter(self.lines) - Counter(lines.written)
        assert (sorted(missing), sorted(doubled)) == ([], [])


@pytest.fixture
def run() -> Iterator[Callable[..., Consumer]]:
    started: list[Consumer] = []

    def begin(*patterns: Path | str, **settings: Any) -> Consumer:
        consumer = Consumer(*patterns, **settings)
        consumer.start()
        started.append(consumer)
        return consumer

    yield begin
    for consumer in started:
        consumer.kill()


def compressed(path: Path, ending: str) -> None:
    """Compress a rotated log as logrotate does: beside the plain one, which goes when its copy is whole; the mtime is kept."""
    ways = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open, ".zst": zstd.open}
    target = path.with_name(path.name + ending)
    with path.open("rb") as plain, ways[ending](target, "wb") as packed:
        shutil.copyfileobj(plain, packed)
    shutil.copystat(path, target)
    path.unlink()


def test_lines_are_read_as_they_are_written_and_the_end_is_told(run, tmp_path):
    """The daemon closes sessions by the wall clock only when a source says it has read everything."""
    path, lines = tmp_path / "access.log", Lines()
    lines.append(path, 3)
    consumer = run(path)
    consumer.reads_all(lines)
    told = consumer.caught_up
    assert told
    lines.append(path, 2)
    consumer.reads_all(lines)
    assert consumer.caught_up > told


def test_an_empty_source_is_caught_up(run, tmp_path):
    """A log that has nothing in it must not keep the other sources' sessions open."""
    consumer = run(tmp_path / "access.log")
    consumer.wait_for(lambda: consumer.caught_up > 0)
    assert consumer.caught_up


def test_half_a_line_waits_for_its_end(run, tmp_path):
    """Programs write through buffers: half a host name is another host name."""
    path, lines = tmp_path / "access.log", Lines()
    consumer = run(path)
    line = lines.some(2)
    path.write_bytes(line[:-5])
    time.sleep(QUIET)
    assert consumer.lines == line.splitlines(keepends=True)[:1]
    with path.open("ab") as file:
        file.write(line[-5:])
    consumer.reads_all(lines)


def test_start_at_the_end_reads_what_comes_later_also_after_a_restart(run, tmp_path):
    """What was written while the daemon was down is new, even if nothing was read before."""
    path, old, lines = tmp_path / "access.log", Lines("old"), Lines()
    old.append(path, 5)
    consumer = run(path, start="end")
    consumer.wait_for(lambda: consumer.caught_up > 0)
    consumer.kill()
    lines.append(path, 5)
    consumer.start()
    consumer.reads_all(lines)


def test_start_at_the_end_of_an_empty_log_reads_what_comes_while_the_daemon_is_down(run, tmp_path):
    """A log that was rotated a moment before the first start has no record to know it by."""
    path, lines = tmp_path / "access.log", Lines()
    path.touch()
    consumer = run(path, start="end")
    consumer.wait_for(lambda: consumer.caught_up > 0)
    consumer.kill()
    lines.append(path, 5)
    consumer.start()
    consumer.reads_all(lines)


def test_a_file_that_appears_later_is_read_from_its_beginning(run, tmp_path):
    """Only what was there before the first start is old."""
    old, lines = Lines("old"), Lines()
    old.append(tmp_path / "a.log", 5)
    consumer = run(tmp_path / "*.log", start="end")
    consumer.wait_for(lambda: consumer.caught_up > 0)
    lines.append(tmp_path / "b.log", 5)
    consumer.reads_all(lines)


def test_files_with_the_same_column_names_are_told_apart(run, tmp_path):
    """CSV logs begin with their columns: known by those alone, the second file would be taken for a copy of the first."""
    lines = Lines()
    header = b"time,client,host\n"
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_bytes(header + lines.some(3))
    lines.written += [header] * 3
    run(tmp_path / "*.csv").reads_all(lines)


def test_two_files_that_begin_alike_are_both_read(run, tmp_path):
    """Two daemons that start in the same second write the same first line."""
    lines = Lines()
    first = lines.some()
    (tmp_path / "a.log").write_bytes(first + lines.some(3))
    lines.written.append(first)
    (tmp_path / "b.log").write_bytes(first + lines.some(2))
    run(tmp_path / "*.log").reads_all(lines)


def test_a_renamed_file_is_read_to_its_end(run, tmp_path):
    """Writers go on in the old file until they are told to open the new one."""
    path, lines = tmp_path / "access.log", Lines()
    lines.append(path, 3)
    consumer = run(path)
    consumer.reads_all(lines)
    path.rename(tmp_path / "access.log.1")
    lines.append(path, 2)
    lines.append(tmp_path / "access.log.1", 2)
    consumer.reads_all(lines)


def test_the_last_line_of_a_rotated_file_may_lack_its_newline(run, tmp_path):
    """A program that was killed leaves such a line; nothing will be added to it."""
    path, lines = tmp_path / "access.log", Lines()
    lines.append(path, 3)
    with path.open("ab") as file:
        file.write(b"2026-03-01T10:00:09Z the last")
    lines.written.append(b"2026-03-01T10:00:09Z the last")
    consumer = run(path)
    consumer.wait_for(lambda: len(consumer.lines) == 3)
    path.rename(tmp_path / "access.log.1")
    consumer.reads_all(lines)
    assert consumer.ended


def test_a_deleted_file_is_read_to_its_end(run, tmp_path):
    """A deleted file lives on while it is open."""
    path, lines = tmp_path / "access.log", Lines()
    lines.append(path, 3)
    consumer = run(path)
    consumer.reads_all(lines)
    with path.open("ab") as file:
        path.unlink()
        file.write(lines.some(3))
    consumer.reads_all(lines)
    lines.append(path, 2)
    consumer.reads_all(lines)


@pytest.mark.parametrize("alike", [False, True], ids=["another first line", "the same first line"])
def test_a_truncated_file_that_grew_beyond_the_old_offset_begins_anew(run, tmp_path, alike):
    """Its size says nothing then: the first record does, or the bytes before the offset."""
    path, lines = tmp_path / "access.log", Lines()
    first = lines.some()
    path.write_bytes(first + lines.some(2))
    consumer = run(path)
    consumer.reads_all(lines)
    consumer.kill()
    if alike:
        lines.written.append(first)
    path.write_bytes((first if alike else b"") + lines.some(9))
    consumer.start()
    consumer.reads_all(lines)


def test_what_was_copied_before_a_truncation_is_read_in_the_copy(run, tmp_path):
    """The daemon is down while copytruncate runs, twice."""
    path, lines = tmp_path / "access.log", Lines()
    lines.append(path, 3)
    consumer = run(path)
    consumer.reads_all(lines)
    consumer.kill()
    lines.append(path, 4)
    shutil.copy(path, tmp_path / "access.log.2")
    os.truncate(path, 0)
    lines.append(path, 5)
    shutil.copy(path, tmp_path / "access.log.1")
    os.truncate(path, 0)
    lines.append(path, 2)
    consumer.start()
    consumer.reads_all(lines)
    assert not consumer.losses


def test_what_was_truncated_unread_is_told_as_a_loss(run, tmp_path):
    """Without a copy it is gone; coverage has to say so."""
    path, lines = tmp_path / "access.log", Lines()
    lines.append(path, 3)
    consumer = run(path)
    consumer.reads_all(lines)
    consumer.kill()
    path.unlink()
    lines.append(path, 3)
    consumer.start()
    consumer.reads_all(lines)
    assert [loss.offset for loss in consumer.losses] == [sum(map(len, lines.written[:3]))]


@pytest.mark.parametrize("ending", [".gz", ".zst", ".xz", ".bz2"])
@pytest.mark.parametrize("name", ["access.log.1", "access.log-20260301", "access-20260301.log"])
def test_a_log_that_was_compressed_while_the_daemon_was_down_is_read_on_in_its_copy(run, tmp_path, ending, name):
    """The offset counts decompressed bytes, so that it holds in the copy."""
    path, lines = tmp_path / "access.log", Lines()
    lines.append(path, 3)
    consumer = run(path)
    consumer.reads_all(lines)
    consumer.kill()
    lines.append(path, 4)
    path.rename(tmp_path / name)
    compressed(tmp_path / name, ending)
    lines.append(path, 2)
    consumer.start()
    consumer.reads_all(lines)
    assert not consumer.losses


def test_several_rotations_while_the_daemon_was_down_are_read_in_their_order(run, tmp_path):
    """The copies that were rotated in between were never seen: they are told by their time."""
    path, lines = tmp_path / "access.log", Lines()
    lines.append(path, 3)
    consumer = run(path)
    consumer.reads_all(lines)
    consumer.kill()
    for number in (4, 3, 2, 1):
        lines.append(path, 3)
        path.rename(tmp_path / f"access.log.{number}")
        if number % 2:
            compressed(tmp_path / f"access.log.{number}", ".gz")
        time.sleep(0.02)
    lines.append(path, 3)
    consumer.start()
    consumer.reads_all(lines)
    assert consumer.lines == lines.written


def test_copies_from_before_the_first_start_are_left_alone(run, tmp_path):
    """Years of old logs beside the live one are for `replay logs`."""
    path, old, lines = tmp_path / "access.log", Lines("old"), Lines()
    for number in (2, 1):
        old.append(tmp_path / f"access.log.{number}", 3)
    compressed(tmp_path / "access.log.2", ".gz")
    time.sleep(0.02)
    lines.append(path, 3)
    consumer = run(path)
    consumer.reads_all(lines)
    consumer.kill()
    lines.append(path, 3)
    consumer.start()
    consumer.reads_all(lines)


def test_a_record_that_is_too_long_is_told_and_left_out(run, tmp_path):
    """Memory is bounded, and the lines after it are read."""
    path, lines = tmp_path / "access.log", Lines()
    lines.append(path, 2)
    with path.open("ab") as file:
        file.write(b"x" * (3 << 20) + b"\n")
    lines.append(path, 2)
    consumer = run(path)
    consumer.reads_all(lines)
    assert [loss.length for loss in consumer.losses] == [(3 << 20) + 1]


def test_a_large_backlog_lets_other_logs_have_their_turn(tmp_path):
    """A day's backlog of one log must not make the others wait for it."""
    (tmp_path / "big.log").write_bytes(b"2026-03-01T10:00:00Z big\n" * 200_000)
    (tmp_path / "small.log").write_bytes(b"2026-03-01T10:00:00Z small\n")
    batches = Follow([str(tmp_path / "*.log")], start="beginning").batches(threading.Event(), {})
    seen = [batch.input.path for batch, _ in zip(batches, range(4), strict=False) if len(batch.data)]
    batches.close()
    assert {Path(path).name for path in seen} == {"big.log", "small.log"}


def test_without_file_events_polling_serves(run, tmp_path, monkeypatch):
    """NFS has no events, and the kernel hands out only so many watches."""

    def refuse(*_args: Any, **_settings: Any) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchdog.observers.inotify.InotifyObserver.schedule", refuse)
    path, lines = tmp_path / "access.log", Lines()
    consumer = run(path)
    lines.append(path, 3)
    consumer.reads_all(lines)


class Rotation:
    """Rotates one log in every way there is, with numbers or dates."""

    def __init__(self, path: Path, pick: random.Random) -> None:
        self.path, self.pick = path, pick
        self._count = 0

    def now(self) -> None:
        self._shift()
        first = self.path.with_name(self.path.name + ".1")
        if self.pick.random() < 0.5:
            self.path.rename(first)
        else:
            shutil.copy2(self.path, first)
            os.truncate(self.path, 0)
        if self.pick.random() < 0.2:
            compressed(first, self.pick.choice([".gz", ".zst", ".xz", ".bz2"]))

    def _shift(self) -> None:
        for number in range(20, 0, -1):
            for ending in ("", ".gz", ".zst", ".xz", ".bz2"):
                old = self.path.with_name(f"{self.path.name}.{number}{ending}")
                if old.exists():
                    new = self.path.with_name(f"{self.path.name}.{number + 1}")
                    old.rename(new.with_name(new.name + ending))
                    if not ending and self.pick.random() < 0.4:
                        compressed(new, self.pick.choice([".gz", ".zst", ".xz", ".bz2"]))


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_rotations_and_kills_lose_and_double_nothing(run, tmp_path, seed):
    """The promise of the whole: whatever happens in whatever order, each line is committed once."""
    pick = random.Random(seed)
    path, lines = tmp_path / "access.log", Lines()
    consumer = run(path)
    consumer.wait_for(lambda: consumer.caught_up > 0)  # what lies there before the first start is another matter
    rotation = Rotation(path, pick)
    for _ in range(60):
        lines.append(path, pick.randrange(1, 30))
        time.sleep(pick.choice([0, 0, 0.005, 0.03]))
        act = pick.random()
        if act < 0.25:
            rotation.now()
        elif act < 0.4:
            consumer.kill()
            for _ in range(pick.randrange(3)):
                lines.append(path, pick.randrange(1, 30))
                time.sleep(0.01)
                if pick.random() < 0.5:
                    rotation.now()
            consumer.start()
    consumer.reads_all(lines)
    assert not consumer.losses


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed")
@pytest.mark.parametrize(
    "options", ["", "copytruncate", "compress", "compress\ndelaycompress", "copytruncate\ncompress", "dateext\ndateformat -%s"]
)
def test_logrotate_itself_loses_and_doubles_nothing(run, tmp_path, options):
    """The program that most logs are rotated by, in the ways that people configure it."""
    path, lines = tmp_path / "access.log", Lines()
    config, state = tmp_path / "logrotate.conf", tmp_path / "state"
    config.write_text(f"{path} {{\nrotate 20\nmissingok\n{options}\n}}\n")
    config.chmod(0o644)
    tmp_path.chmod(0o755)
    consumer = run(path)
    for turn in range(4):
        lines.append(path, 5)
        if turn == 2:
            consumer.kill()
            lines.append(path, 5)
        if "dateext" in options:
            time.sleep(1.1)
        subprocess.run([shutil.which("logrotate"), "-f", "-s", state, config], check=True)
        if turn == 2:
            consumer.start()
        lines.append(path, 5)
    consumer.reads_all(lines)
    assert not consumer.losses
