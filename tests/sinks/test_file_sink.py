"""The JSON lines file: whole lines, also after crashes and rotation."""

import json
import os
import resource
import signal
import threading

import pytest

from sentinel.sinks import KINDS
from sentinel.sinks.file import FileSettings, FileSink
from sentinel.sinks.outcome import Delivered, Document, Retry
from tests.schemas.alerts import START


def document(name: str, size: int = 0) -> Document:
    """Return a document that is one line of JSON."""
    body = json.dumps({"id": name, "pad": "x" * size}).encode()
    return Document(id=name, body=body, kind="opened", severity=5, time=START)


def ids(path) -> list[str]:
    """Return the ids in a file; every line of it has to be JSON."""
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


@pytest.fixture
def opened(tmp_path):
    """A sink on `alerts.jsonl`."""
    sink = FileSink(FileSettings(type="file", name="file", path=tmp_path / "alerts.jsonl"))
    yield sink
    sink.close()


def test_each_document_is_a_line_that_others_may_not_read(opened, tmp_path):
    """The file says who did what."""
    assert opened.send([document("a"), document("b")]) == [Delivered(), Delivered()]
    assert ids(tmp_path / "alerts.jsonl") == ["a", "b"]
    assert (tmp_path / "alerts.jsonl").stat().st_mode & 0o007 == 0


def test_a_file_that_was_renamed_or_removed_is_made_anew(opened, tmp_path):
    """Logrotate moves it away, people delete it: the next alert must not vanish in what nobody sees."""
    path = tmp_path / "alerts.jsonl"
    opened.send([document("a")])
    path.rename(tmp_path / "alerts.1")
    opened.send([document("b")])
    path.unlink()
    opened.send([document("c")])
    assert ids(tmp_path / "alerts.1") == ["a"]
    assert ids(path) == ["c"]


def test_truncation_by_copytruncate_leaves_no_hole(opened, tmp_path):
    """A writer that kept its own offset would write far beyond the new end."""
    path = tmp_path / "alerts.jsonl"
    opened.send([document("a", 1000)])
    os.truncate(path, 0)
    opened.send([document("b")])
    assert ids(path) == ["b"]


def test_half_a_line_does_not_swallow_the_next_one(opened, tmp_path):
    """Power may fail in the middle of a write of the run before."""
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"id": "hal')
    opened.send([document("a")])
    assert path.read_text().splitlines()[0] == '{"id": "hal'
    assert json.loads(path.read_text().splitlines()[1])["id"] == "a"


def test_a_full_disk_is_tried_again(opened, tmp_path):
    """What was written only in part was not delivered; the next whole line stands on its own."""
    path = tmp_path / "alerts.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
        outcomes = opened.send([document("a"), document("b", 1000), document("c")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert all(isinstance(outcome, Retry) for outcome in outcomes)
    assert opened.send([document("d")]) == [Delivered()]
    lines = path.read_text().splitlines()
    assert [json.loads(lines[0])["id"], json.loads(lines[-1])["id"]] == ["a", "d"]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo])
def test_what_is_no_file_is_tried_again_later(tmp_path, make):
    """A folder or a pipe in its place is somebody's mistake, which can be mended; a pipe must not block either."""
    make(tmp_path / "alerts.jsonl")
    sink = FileSink(FileSettings(type="file", name="file", path=tmp_path / "alerts.jsonl"))
    (outcome,) = sink.send([document("a")])
    assert isinstance(outcome, Retry)
    assert str(tmp_path / "alerts.jsonl") in outcome.reason


def test_lines_of_several_writers_do_not_mix(tmp_path):
    """Each line is one write at the end of the file, wherever that is by then."""
    path = tmp_path / "alerts.jsonl"

    def write(name: str) -> None:
        sink = FileSink(FileSettings(type="file", name="file", path=path))
        for number in range(50):
            sink.send([document(f"{name}{number}", 9000)])
        sink.close()

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids(path)) == sorted(f"{name}{number}" for name in "ab" for number in range(50))


def test_the_kind_is_found_by_lying_in_the_folder():
    """A new sink is a new file, and no edit elsewhere."""
    assert {"file", "syslog", "webhook"} < set(KINDS)
    assert KINDS["file"].settings is FileSettings
