"""The sieve: what it holds back could not have shown anything; every packet is counted."""

from __future__ import annotations

import gzip
import itertools
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import GRE, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet

from sentinel.packets import sieve, strays
from sentinel.packets.decoder import Decoder
from sentinel.packets.records import CaptureParser
from sentinel.packets.seen import Seen
from sentinel.packets.sieve_intake import Intake
from tests.packets.made_packets import ETHER, T0, hello, records

DEMO = Path(__file__).parents[2] / "sentinel" / "demo" / "data"
REQUEST = b"POST /up HTTP/1.1\r\nHost: pimeyes.com\r\nContent-Length: %d\r\n\r\n"
KEPT = Path(__file__).parents[1] / "data" / "oracle"
LINKS = {"ethernet": 1, "sll": 113, "sll2": 276, "raw": 101}


def pcap(packets: list[bytes], *, link: int = 1, snap: int = 1 << 18) -> bytes:
    """Return a capture of *packets*, a millisecond apart, each cut after *snap* bytes."""
    out = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snap, link)
    for number, packet in enumerate(packets):
        seconds, rest = divmod(T0 + number * 1_000_000, 1_000_000_000)
        out += struct.pack("<IIII", seconds, rest, len(packet[:snap]), len(packet)) + packet[:snap]
    return out


def everything(capture: bytes) -> tuple[list[Seen], Decoder]:
    """Return what the decoder makes of every packet."""
    decoder, parser, seen = Decoder(), CaptureParser(), []
    frames = itertools.count(1)
    for lot in parser.feed(capture):
        for packet in lot:
            seen += decoder.packet(*packet, next(frames))
    return seen + decoder.finish(), decoder


def sieved(capture: bytes, piece: int) -> tuple[list[Seen], Decoder, Intake]:
    """Return what the decoder makes of what comes through, the capture being read in pieces."""
    decoder, parser, seen = Decoder(), CaptureParser(), []
    intake = Intake(decoder, seed=random.getrandbits(64))
    for at in range(0, len(capture), piece):
        for lot in parser.feed(capture[at : at + piece]):
            seen += intake.take(lot)
    return seen + decoder.finish(), decoder, intake


class Traffic:
    """Connections as *chance* makes them, on the ways that a capture knows."""

    def __init__(self, chance: random.Random, link: str) -> None:
        self.chance = chance
        self.link = link

    def frame(self, packet: Packet) -> bytes:
        """Return *packet* with a link layer, perhaps with tags or in a tunnel."""
        chance, wide = self.chance, IPv6 in packet
        way = chance.randrange(12)
        if way == 0:
            packet = IP(src="198.51.100.1", dst="198.51.100.2") / GRE() / packet
            wide = False
        elif way == 1:
            packet = IP(src="198.51.100.1", dst="198.51.100.2") / UDP(sport=5000, dport=4789) / VXLAN(vni=7) / ETHER / packet
            wide = False
        elif way == 2 and wide:
            packet = IPv6(src=packet.src, dst=packet.dst) / IPv6ExtHdrHopByHop() / packet.payload
        if self.link == "raw":
            return bytes(packet)
        if self.link == "sll":
            return bytes(CookedLinux(proto=0x86DD if wide else 0x0800) / packet)
        if self.link == "sll2":
            return bytes(CookedLinuxV2(proto=0x86DD if wide else 0x0800) / packet)
        tags = chance.choice([[], [], [Dot1Q(vlan=7)], [Dot1AD(vlan=7), Dot1Q(vlan=8)]])
        frame = ETHER
        for tag in tags:
            frame = frame / tag
        return bytes(frame / packet)

    def connection(self) -> list[bytes]:
        """Return the frames of one connection, in the order of their sending but for a few."""
        chance = self.chance
        host, server = f"192.0.2.{chance.randrange(1, 4)}", f"203.0.113.{chance.randrange(1, 3)}"
        port, far = chance.randrange(40000, 40004), chance.choice([443, 443, 80, 3128, 53, 25, 1080])
        wide = chance.random() < 0.3
        ends = [("2001:db8::" + host[-1], "2001:db8::1:" + server[-1])] if wide else [(host, server)]
        start, back = chance.choice([chance.getrandbits(32), 2**32 - 700]), chance.getrandbits(32)

        def segment(answer: bool, sequence: int, flags: str, payload: bytes = b"") -> Packet:
            source, destination = reversed(ends[0]) if answer else ends[0]
            sport, dport = (far, port) if answer else (port, far)
            number, acknowledged = (back, start) if answer else (start, back)
            tcp = TCP(sport=sport, dport=dport, seq=(number + sequence) % 2**32, ack=acknowledged, flags=flags)
            return (IPv6 if wide else IP)(src=source, dst=destination) / tcp / payload

        up = self.spoken()
        down = chance.choice([b"HTTP/1.1 200 OK\r\n\r\n", b"220 mail\r\n", records(b"\x02" + bytes(90))])
        down += chance.randbytes(4000)
        cuts = sorted(chance.sample(range(1, len(up)), min(len(up) - 1, chance.randrange(8))))
        opening = [segment(False, -1, "S"), segment(True, -1, "SA"), segment(False, 0, "A")]
        sent = [segment(False, begin, "A", up[begin:end]) for begin, end in itertools.pairwise([0, *cuts, len(up)])]
        sent += [segment(True, at, "A", down[at : at + 1000]) for at in range(0, len(down), 1000)]
        if chance.random() < 0.5:  # reordered, sent again, lost
            for _ in range(3):
                one = chance.randrange(len(sent))
                sent.insert(chance.randrange(len(sent)), sent[one])
            chance.shuffle(sent)
            del sent[: chance.randrange(2)]
        closing = [segment(False, len(up), chance.choice(["FA", "R"]))]
        whole = (opening if chance.random() < 0.8 else []) + sent + (closing if chance.random() < 0.5 else [])
        frames = []
        for packet in whole:
            parts = fragment(packet, 600) if not wide and chance.random() < 0.05 else [packet]
            frames += [self.frame(part) for part in parts]
        return frames

    def spoken(self) -> bytes:
        """Return what a client says."""
        chance = self.chance
        tls = records(hello(chance.choice([b"pimeyes.com", b"app.clearview.ai", None]), pad=chance.choice([0, 1800])))
        bulk = chance.choice([b"\x17\x03\x03\x40\x00", b""]) + chance.randbytes(chance.choice([10, 9000]))
        body = chance.randbytes(chance.choice([0, 7000]))
        request = REQUEST % len(body) + body
        return chance.choice(
            [
                tls + bulk,
                request * chance.randrange(1, 4) + request[: chance.randrange(1, 90)],
                b"CONNECT pimeyes.com:443 HTTP/1.1\r\n\r\n" + tls + bulk,
                b"\x05\x01\x00\x05\x01\x00\x03\x0bpimeyes.com\x01\xbb" + tls + bulk,
                b"EHLO a\r\nSTARTTLS\r\n" + tls + bulk,
                struct.pack(">H", 29) + bytes(DNS(id=1, qd=DNSQR(qname="pimeyes.com"))),
                bulk,
                bulk + tls,
            ]
        )

    def datagrams(self) -> list[bytes]:
        """Return a query, its answer, and the middle of something else."""
        question = DNSQR(qname=self.chance.choice(["pimeyes.com", "example.org"]))
        client, server = IP(src="192.0.2.1", dst="192.0.2.53"), IP(src="192.0.2.53", dst="192.0.2.1")
        answer = DNS(qr=1, qd=question, an=DNSRR(rrname=question.qname, rdata="203.0.113.1"))
        packets = [client / UDP(sport=50000, dport=53) / DNS(qd=question), server / UDP(sport=53, dport=50000) / answer]
        packets += [client / UDP(sport=50001, dport=443) / (b"\x40" + self.chance.randbytes(1250)) for _ in range(3)]
        return [self.frame(packet) for packet in packets]

    def packets(self) -> list[bytes]:
        """Return the frames of several connections, woven into each other."""
        ways = [self.connection() for _ in range(self.chance.randrange(1, 5))] + [self.datagrams()]
        woven = []
        while ways:
            way = self.chance.choice(ways)
            some = self.chance.randrange(1, 12)
            woven += way[:some]
            del way[:some]
            ways = [way for way in ways if way]
        return woven


@pytest.mark.integration
@given(
    st.integers(0, 2**32),
    st.sampled_from(sorted(LINKS)),
    st.integers(700, 60_000),
    st.sampled_from([1 << 18, 1 << 18, 200, 90]),
)
@settings(deadline=None, max_examples=30)
def test_what_comes_through_shows_what_all_packets_show(seed, link, piece, snap):
    """A hello that was lost to the sieve is an access that nobody hears of."""
    capture = pcap(Traffic(random.Random(seed), link).packets(), link=LINKS[link], snap=snap)
    expected, all_seen = everything(capture)
    seen, decoder, _intake = sieved(capture, piece)
    assert seen == expected
    told = [name for name in all_seen.counters if name.startswith(("hello", "requests", "quic", "fragments"))]
    assert [decoder.counters[name] for name in told] == [all_seen.counters[name] for name in told]


def bulk(count: int, *, sport: int = 40000, size: int = 1000) -> list[bytes]:
    """Return what a server sends in a connection that began before the capture did."""
    chance = random.Random(1)
    head = ETHER / IP(src="203.0.113.9", dst="192.0.2.7")
    return [
        bytes(head / TCP(sport=443, dport=sport, seq=1000 * n, flags="A") / (b"\x17" + chance.randbytes(size)))
        for n in range(count)
    ]


def test_a_transfer_is_held_back_and_counted():
    """Two million packets a second cannot be looked at one by one, and are a part of what was read all the same."""
    capture = pcap(bulk(200) * 10, snap=600)
    _seen, decoder, intake = sieved(capture, 100_000)
    assert intake.packets == 2000
    assert decoder.counters["packets"] <= strays.MOST_PIECES + 1  # so many may belong behind a beginning that comes late
    assert decoder.counters["truncated"] == 2000
    assert (intake.earliest, intake.latest) == (T0, T0 + 1999 * 1_000_000)


def test_a_hello_is_found_after_any_amount_of_transfer_on_its_connection():
    """Proxies and mail servers let TLS begin late; its second segment begins with any byte."""
    stream = records(hello(pad=1800))
    head = ETHER / IP(src="192.0.2.7", dst="203.0.113.9")
    client = [bytes(head / TCP(sport=40000, dport=443, seq=1000 + 1000 * n, flags="A") / (b"\0" * 1000)) for n in range(50)]
    late = [
        bytes(head / TCP(sport=40000, dport=443, seq=51000 + at, flags="A") / stream[at : at + 100])
        for at in range(0, len(stream), 100)
    ]
    for piece in (500, 1 << 20):
        assert [one.observation.name for one in sieved(pcap(client + late), piece)[0]] == ["pimeyes.com"]


def test_a_table_that_is_full_begins_anew(monkeypatch):
    """Strangers decide how many flows there are; memory must not."""
    monkeypatch.setattr(sieve, "SLOTS", 16)
    monkeypatch.setattr(sieve, "MOST_SLOTS", 64)
    packets = [packet for port in range(1000, 1200) for packet in bulk(2, sport=port, size=20)]
    split = records(hello(pad=1800))
    head = ETHER / IP(src="192.0.2.7", dst="203.0.113.9")
    packets[50:50] = [bytes(head / TCP(sport=9, dport=443, seq=1, flags="A") / split[:900])]
    packets.append(bytes(head / TCP(sport=9, dport=443, seq=901, flags="A") / split[900:]))
    for piece in (300, 3000, 1 << 20):
        assert [one.observation.name for one in sieved(pcap(packets), piece)[0]] == ["pimeyes.com"]


@pytest.mark.parametrize("capture", [*DEMO.glob("*.pcap"), *KEPT.glob("*.gz")], ids=lambda path: path.name)
def test_captures_of_real_programs_show_the_same(capture):
    """What generators do not think of, browsers do."""
    content = capture.read_bytes()
    content = gzip.decompress(content) if capture.suffix == ".gz" else content
    expected = everything(content)[0]
    assert expected
    assert sieved(content, 50_000)[0] == expected
