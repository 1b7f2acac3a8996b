"""Standard output: whole lines, and a reader that does not read holds nothing up for ever."""

import contextlib
import os
import sys

from sentinel.sinks import stdout
from sentinel.sinks.outcome import Delivered, Retry
from sentinel.sinks.stdout import StdoutSettings, StdoutSink
from tests.sinks.receivers import document


@contextlib.contextmanager
def piped(monkeypatch):
    """Make standard output a pipe, and give its reading end. In the test itself: pytest changes it for each phase."""
    read, write = os.pipe()
    with os.fdopen(write, "wb", buffering=0) as writing, os.fdopen(read, "rb", buffering=0) as reading:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", writing)
            yield reading


def test_each_document_is_a_line(monkeypatch):
    """For whatever reads lines."""
    with piped(monkeypatch) as pipe:
        assert StdoutSink(StdoutSettings(type="stdout", name="o")).send([document(1), document(2)]) == [Delivered()] * 2
        assert pipe.read(4096) == document(1).body + b"\n" + document(2).body + b"\n"


def test_a_reader_that_is_stuck_is_a_retry_and_half_a_line_is_ended(monkeypatch):
    """The next line is a line of its own."""
    with piped(monkeypatch) as pipe:
        monkeypatch.setattr(stdout, "WRITE_SECS", 0.1)
        sink = StdoutSink(StdoutSettings(type="stdout", name="o"))
        (outcome,) = sink.send([document(1, b"x" * 1_000_000)])
        assert isinstance(outcome, Retry)
        os.set_blocking(pipe.fileno(), False)
        while pipe.read(1 << 20):
            pass
        assert sink.send([document(2)]) == [Delivered()]
        assert pipe.read(4096) == b"\n" + document(2).body + b"\n"


def test_a_reader_that_went_away_is_a_retry(monkeypatch):
    """And no signal ends the daemon."""
    with piped(monkeypatch) as pipe:
        sink = StdoutSink(StdoutSettings(type="stdout", name="o"))
        pipe.close()
        assert isinstance(sink.send([document()])[0], Retry)
