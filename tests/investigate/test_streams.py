"""Several captures are one investigation, whatever the order of their paths and the number of processes that read them."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP

from sentinel.extract import Ruling
from sentinel.investigate import streams
from sentinel.investigate.replay import Inquiry, replay
from sentinel.investigate.result import Result, write_json
from sentinel.packets.records import CaptureParser
from sentinel.policy.policy import Policy
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import load_catalog
from sentinel.store.nothing import NoStore
from tests.packets.made_packets import CLIENT, ETHER, SERVER
from tests.packets.test_flow_book import HELLO, Timed, connection, pcap

KEPT = Path(__file__).parents[1] / "data" / "oracle" / "clean.pcap.gz"
TOWN = """\
schema: 1
id: town
name: Town
category: face-search
references: ["https://town.example/"]
severity: high
indicators:
  - {domain: town.example, stage: contact}
tests:
  match: [{dns: town.example, stage: lookup}]
  no_match: [{dns: example.org}]
"""
Packet = tuple[int, bytes]
"""ns since 1970, and a frame."""


@pytest.fixture(scope="module")
def rules(tmp_path_factory) -> Ruling:
    """Rules by which everything in the kept capture is of interest."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "town.yaml").write_text(TOWN)
    return Ruling.of(load_catalog([builtin_rules(), folder]), Policy())


@pytest.fixture(scope="module")
def day() -> list[Packet]:
    """The packets of the kept capture, a microsecond apart at the least."""
    found: list[Packet] = []
    for lot in CaptureParser().feed(gzip.decompress(KEPT.read_bytes())):
        for time, _link, packet, _length in lot:
            found.append((max(time, found[-1][0] + 1000 if found else 0), bytes(packet)))
    return found


def capture(path: Path, packets: Sequence[Packet]) -> Path:
    """Write *packets* as a capture."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)]
    for time, packet in packets:
        out.append(struct.pack("<IIII", time // 10**9, time % 10**9, len(packet), len(packet)) + packet)
    path.write_bytes(b"".join(out))
    return path


def asked(ruling: Ruling, paths: Sequence[Path], jobs: int = 1) -> Result:
    """Return what a replay says."""
    return replay(Inquiry(kind="pcap", paths=[str(path) for path in paths], ruling=ruling, store=NoStore(), jobs=jobs))


def said(result: Result) -> str:
    """Return all of it, as JSON."""
    parts: list[str] = []
    write_json(result, parts.append)
    return "".join(parts)


def what(result: Result) -> tuple[list[object], list[object]]:
    """Return sessions and findings but for where they lie on disk."""
    sessions = [
        (s.service, s.client, s.stage, s.basis, s.started, s.ended, s.findings, s.names, s.bytes_up, s.bytes_down)
        for s in result.sessions
    ]
    seen = [one.observation for one in result.findings]
    findings = [(one.time, one.kind, one.client, one.client_port, one.name, one.bytes_up, one.bursts) for one in seen]
    return sessions, sorted(findings, key=repr)


def rotated(packets: list[Packet]) -> list[list[Packet]]:
    """Cut packets as `tcpdump -C` does: anywhere, in the middle of connections and hellos."""
    edges = [0, *sorted(random.Random(5).sample(range(1, len(packets)), 6)), len(packets)]
    return [packets[begin:end] for begin, end in itertools.pairwise(edges)]


def apart(packets: list[Packet]) -> list[list[Packet]]:
    """Return DNS, as captured at the resolver, and the rest, as captured at the border."""
    parts: tuple[list[Packet], list[Packet]] = ([], [])
    for time, packet in packets:
        parts[packet[23:24] != b"\x11" or 53 not in struct.unpack_from(">HH", packet, 34)].append((time, packet))
    return [*parts]


@pytest.mark.integration
@pytest.mark.parametrize("cut", [rotated, apart])
def test_captures_in_parts_say_what_the_whole_says(tmp_path, rules, day, cut: Callable[[list[Packet]], list[list[Packet]]]):
    """A connection over two files is one, and so is a hello; bytes are counted once."""
    whole = asked(rules, [capture(tmp_path / "whole.pcap", day)])
    paths = [capture(tmp_path / f"{number}.pcap", part) for number, part in enumerate(cut(day))]
    assert len(whole.findings) > 300
    assert what(asked(rules, paths)) == what(whole)
    assert sum(one.records for one in asked(rules, paths).coverage) == len(day)


@pytest.mark.integration
@pytest.mark.parametrize("cut", [rotated, apart])
def test_neither_order_nor_processes_change_a_word(tmp_path, rules, day, cut: Callable[[list[Packet]], list[list[Packet]]]):
    """Two people who ask the same get the same, to the letter: ids, coverage, notes."""
    paths = [capture(tmp_path / f"{number}.pcap", part) for number, part in enumerate(cut(day))]
    once = said(asked(rules, paths))
    assert said(asked(rules, paths[::-1], jobs=2)) == once
    assert said(asked(rules, [*paths[1:], paths[0]], jobs=5)) == once


def test_what_two_taps_saw_counts_once(tmp_path, rules, day):
    """A department that mirrors two switches must not send twice the photos."""
    whole = asked(rules, [capture(tmp_path / "whole.pcap", day)])
    later = [(time + 300, packet) for time, packet in day]
    both = asked(rules, [tmp_path / "whole.pcap", capture(tmp_path / "again.pcap", later)])
    flows = [(one.observation.client_port, one.observation.name, one.observation.bytes_up) for one in whole.findings
             if one.observation.kind == "flow"]  # fmt: skip
    again = [(one.observation.client_port, one.observation.name, one.observation.bytes_up) for one in both.findings
             if one.observation.kind == "flow"]  # fmt: skip
    assert flows
    assert sorted(again, key=repr) == sorted(flows, key=repr)


def resolved() -> list[Timed]:
    """Return the answer that gives the client the server's address."""
    asked = DNS(id=1, qr=1, qd=DNSQR(qname="pimeyes.com"), an=DNSRR(rrname="pimeyes.com", rdata=SERVER, ttl=300))
    return [(0, bytes(ETHER / IP(src="192.0.2.53", dst=CLIENT) / UDP(sport=53, dport=50000) / asked))]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_answer_in_one_capture_names_a_connection_in_another(tmp_path, rules, jobs):
    """The resolver's capture is not the border's, and the border's may have missed the hello."""
    (tmp_path / "dns.pcap").write_bytes(pcap(resolved()))
    silent = [packet for packet in connection(b"pimeyes.com", [(3000, 40_000)], 9000, start=1000) if packet[0] > 1100]
    (tmp_path / "border.pcap").write_bytes(pcap(silent))
    result = asked(rules, [tmp_path / "border.pcap", tmp_path / "dns.pcap"], jobs)
    (session,) = result.sessions
    assert (session.stage.word, session.basis.value, session.uploads) == ("upload", "inferred", 1)
    assert {one.origin.path for one in result.findings} == {str(tmp_path / "border.pcap"), str(tmp_path / "dns.pcap")}


def test_what_cannot_be_read_is_told_of_each(tmp_path, rules):
    """One bad file must not take the others along, nor hide."""
    packets = connection(b"pimeyes.com", [(3000, 40_000)], 9000)
    good, cut, other = tmp_path / "good.pcap", tmp_path / "cut.pcap", tmp_path / "other.pcap"
    good.write_bytes(pcap(packets))
    cut.write_bytes(pcap(connection(b"facecheck.id", [], 100, port=40009))[:-7])
    other.write_bytes(b"no capture at all, but some words")
    for jobs in (1, 2):
        result = asked(rules, [good, cut, other], jobs)
        coverage = {Path(one.path).name: one for one in result.coverage}
        assert coverage["good.pcap"].complete and coverage["good.pcap"].records == len(packets)
        assert not coverage["cut.pcap"].complete and "cut" in " ".join(coverage["cut.pcap"].notes)
        assert not coverage["other.pcap"].complete
        assert {session.service for session in result.sessions} == {"pimeyes", "facecheck-id"}
        assert next(s for s in result.sessions if s.service == "pimeyes").bytes_up == HELLO + 40_000


@pytest.mark.integration
def test_a_thousand_files_are_not_open_at_once(tmp_path, rules, monkeypatch):
    """Rotated captures of a year are opened one after the other."""
    paths = []
    for number in range(40):
        paths.append(tmp_path / f"{number}.pcap")
        paths[-1].write_bytes(pcap(connection(b"pimeyes.com", [], 100, port=40000 + number, start=number * 2000)))
    under_way, most = 0, 0
    strained = streams._strained

    def counted(*args):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        yield from strained(*args)
        under_way -= 1

    monkeypatch.setattr(streams, "_strained", counted)
    assert len(asked(rules, paths).sessions) == 1
    assert most <= 3


def test_a_process_that_fails_fails_the_replay(tmp_path, rules, monkeypatch):
    """Half of the captures are no answer."""
    paths = [tmp_path / "a.pcap", tmp_path / "b.pcap"]
    for path in paths:
        path.write_bytes(pcap(connection(b"pimeyes.com", [], 100)))
    manner = streams.Manner(frozenset({53}), rules.matcher.concern(), "no number")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="ValueError"):
        list(streams.steps(streams.numbered([str(path) for path in paths], lambda _path: False), manner, 2))


def test_the_json_is_json(tmp_path, rules, day):
    """The words that are compared above are what users read."""
    assert json.loads(said(asked(rules, [capture(tmp_path / "one.pcap", day[:500])])))["sessions"]
