"""Hellos in segments as bad paths bring them, beside tshark's dissection of the same capture: each difference has a name."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from scapy.packet import Packet

from sentinel.sources.capture import CaptureReader
from tests.integration.lab import program
from tests.packets.made_packets import hello, records, segment, syn
from tests.packets.test_sieve import pcap

pytestmark = pytest.mark.integration

EACH = 10

Case = Callable[[list[Packet], Packet, random.Random], list[Packet]]
CASES: dict[str, Case] = {
    "in order": lambda parts, opening, _: [opening, *parts],
    "sent again": lambda parts, opening, _: [opening, *parts, *parts],
    "its first segment late and twice": lambda parts, opening, _: [opening, *parts[1:], parts[0], parts[0]],
    "shuffled": lambda parts, opening, chance: [opening, *chance.sample(parts, len(parts))],
    "begun before the capture": lambda parts, _opening, _: parts,
    "begun before the capture, backwards": lambda parts, _opening, _: parts[::-1],
    "begun before the capture, shuffled": lambda parts, _opening, chance: chance.sample(parts, len(parts)),
    "the SYN in the middle": lambda parts, opening, _: [parts[1], opening, parts[0], *parts[2:]],
}
UNREAD_BY_TSHARK = ("begun before the capture, backwards", "begun before the capture, shuffled", "the SYN in the middle")
"""Without the SYN in front, tshark takes the first segment that it sees for the beginning."""


def said(host: bytes, port: int, case: Case, chance: random.Random) -> list[bytes]:
    """Return a client's hello in segments of some size."""
    stream, size = records(hello(host, pad=1800)), chance.choice([300, 536, 1400])
    parts = [segment(stream[at : at + size], seq=1001 + at, sport=port) for at in range(0, len(stream), size)]
    return [bytes(one) for one in case(parts, syn(sport=port), chance)]


def ours(path: Path) -> tuple[Counter[str | None], CaptureReader]:
    """Return how often each name is told, and the reader."""
    reader = CaptureReader(path)
    return Counter(one.observation.name for some in reader.seen() for one in some), reader


def theirs(path: Path) -> Counter[str]:
    """Return how often tshark sees a hello for each name."""
    tshark = program("tshark")
    command = [tshark, "-n", "-r", path, "-2", "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "tls.handshake.type == 1"]
    asked = ["-T", "fields", "-e", "tls.handshake.extensions_server_name"]
    done = subprocess.run([*command, *asked], capture_output=True, text=True, timeout=250, check=True)
    return Counter(done.stdout.split())


def test_nothing_is_missed_that_tshark_sees_and_nothing_is_told_twice(tmp_path):
    """Lost, repeated and reordered segments are every network's; what only we read is named by its case."""
    chance, packets, reasons = random.Random(3), [], {}
    for number, (reason, case) in enumerate(CASES.items()):
        for nth in range(EACH):
            host = f"host-{number}-{nth}.example"
            packets += said(host.encode(), 20_000 + 100 * number + nth, case, chance)
            reasons[host] = reason
    (tmp_path / "a.pcap").write_bytes(pcap(packets))
    found, reader = ours(tmp_path / "a.pcap")
    assert found == Counter(dict.fromkeys(reasons, 1))
    assert reader.decoder.noteworthy() == {}
    oracle = theirs(tmp_path / "a.pcap")
    assert not oracle - found
    assert {reasons[str(host)] for host in found - oracle} <= set(UNREAD_BY_TSHARK)


@pytest.mark.parametrize("snap", [96, 150, 700, 1454])
def test_of_packets_that_were_cut_both_read_the_same_names(tmp_path, snap):
    """Where a name is cut nobody reads one, and it is counted."""
    chance = random.Random(snap)
    packets = [one for nth in range(EACH) for one in said(b"big-%d.example" % nth, 30_000 + nth, CASES["in order"], chance)]
    packets += [bytes(segment(records(hello(b"small-%d.example" % nth)), sport=40_000 + nth)) for nth in range(EACH)]
    (tmp_path / "a.pcap").write_bytes(pcap(packets, snap=snap))
    found, reader = ours(tmp_path / "a.pcap")
    assert found == theirs(tmp_path / "a.pcap")
    assert reader.decoder.counters["hellos_cut"] >= 2 * EACH - found.total()
