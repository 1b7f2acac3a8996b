"""Memory: whoever floods the network must not end the monitoring."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.seen import Seen
from tests.packets.floods import GAP, answers, beginnings, complete, fragments, half_open, replay, scattered
from tests.packets.made_packets import T0, decode, hello, names, records, segment, syn

MOST = 300
"""Megabytes of the whole process under every flood."""


@pytest.fixture
def small(monkeypatch) -> Decoder:
    """A decoder whose tables hold ten of each."""
    for table in (
        "tcp.MOST_FLOWS",
        "tcp.MOST_SETTLED",
        "quic.MOST_CONNECTIONS",
        "resolved.MOST_ADDRESSES",
        "ip.MOST_DATAGRAMS",
    ):
        monkeypatch.setattr(f"sentinel.packets.{table}", 10)
    monkeypatch.setattr("sentinel.packets.telling.MOST_HELLOS", 10)
    return Decoder()


def drown(decoder: Decoder, frames: Iterable[bytes]) -> list[Seen]:
    """Return what *frames* show, and see that a hello that comes after them is read as ever."""
    seen: list[Seen] = []
    for number, frame in enumerate(frames, 1):
        seen += decoder.packet(T0 + number * GAP, 1, memoryview(frame), len(frame), number)
    assert (
        names(decode([syn(sport=50000), segment(records(hello(b"facecheck.id")), sport=50000)], decoder=decoder))[0]
        == "facecheck.id"
    )
    return seen


@pytest.mark.parametrize(
    ("flood", "counted"),
    [(half_open, "evicted"), (beginnings, "evicted"), (fragments, "evicted"), (answers, "answers_evicted")],
)
def test_what_a_flood_drives_out_is_counted(flood, counted, small):
    """What was given up could have been somebody's access: the reader of a report has to know."""
    drown(small, flood(300))
    assert small.counters[counted] >= 280


def test_what_is_remembered_of_complete_hellos_is_bounded(small):
    """Each is told; the memory of them ends."""
    assert len(drown(small, complete(300))) == 300
    assert len(small._connections.streams.settled) <= 10
    assert len(small._teller._hellos) <= 10


def test_pieces_that_never_connect_are_bounded(small, monkeypatch):
    """One byte costs more than a byte: the pieces of a stream are counted, not only their bytes."""
    monkeypatch.setattr("sentinel.packets.tcp.MOST_PIECES", 20)
    drown(small, scattered(1000))
    assert not small._connections.streams.flows
    assert small._connections.streams._bytes == 0


def test_connections_that_are_counted_are_bounded_by_what_they_take(monkeypatch):
    """In a replay, each half-open connection is counted too, with its first packet as evidence."""
    monkeypatch.setattr("sentinel.packets.flow_book.MOST_HELD", 1_000_000)
    held = []
    monkeypatch.setattr(FlowBook, "ended", lambda book, now: held.append((book._held, len(book), book)) or [])
    replay(1500)
    assert max(size for size, _count, _book in held) <= 1_000_000
    assert max(count for _size, count, _book in held) > 300
    assert held[0][2]._held == 0  # after the end


@pytest.mark.integration
def test_a_capture_of_half_open_hellos_and_initials_stays_within_bounds():
    """More than any table holds, read as a replay reads it; a million of each, by hand, is told in docs/packets.md."""
    program = Path(__file__).with_name("floods.py")
    run = subprocess.run([sys.executable, program, "25000", "capture"], capture_output=True, text=True, timeout=280, check=True)
    assert int(run.stdout) < MOST, run.stderr


@pytest.mark.integration
def test_every_flood_after_the_other_stays_within_bounds():
    """Long enough for each table to be full; longer runs that were made by hand are told in docs/packets.md."""
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("floods.py")), "70000"],
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    assert int(run.stdout) < MOST, run.stderr
