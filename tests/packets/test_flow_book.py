"""Connections to names of interest: bytes, packets and bursts each way, however the capture comes in, and nobody else's."""

from __future__ import annotations

import functools
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, TCP, UDP

from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.records import CaptureParser
from sentinel.packets.seen import Seen
from sentinel.packets.sieve_intake import Intake
from tests.packets.made_packets import CLIENT, ETHER, SERVER, T0, hello, records

MS = 1_000_000
Timed = tuple[int, bytes]
"""Milliseconds after `T0`, and a frame."""


def pcap(packets: list[Timed]) -> bytes:
    """Return a capture of *packets*."""
    out = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
    for after, packet in packets:
        seconds, rest = divmod(T0 + after * MS, 1_000_000_000)
        out += struct.pack("<IIII", seconds, rest, len(packet), len(packet)) + packet
    return out


def flows(*captures: bytes, piece: int = 1 << 20, wanted: str = "pimeyes.com") -> list[Seen]:
    """Return the connections that captures tell, read one after the other."""
    decoder = Decoder()
    book = FlowBook(decoder.resolved, lambda seen: seen.name == wanted)
    seen: list[Seen] = []
    for number, capture in enumerate(captures):
        parser, intake = CaptureParser(), Intake(decoder, seed=7, book=book)
        book.path = f"{number}.pcap"
        for at in range(0, len(capture), piece):
            for lot in parser.feed(capture[at : at + piece]):
                seen += intake.take(lot)
    decoder.finish()
    seen += book.finish()
    return [one for one in seen if one.observation.kind == "flow"]


def segment(
    after: int, sequence: int, payload: bytes = b"", *, flags: str = "A", back: bool = False, port: int = 40000
) -> Timed:
    """Return a segment from the client, or back to it."""
    source, destination = (SERVER, CLIENT) if back else (CLIENT, SERVER)
    sport, dport = (443, port) if back else (port, 443)
    return after, bytes(
        ETHER / IP(src=source, dst=destination) / TCP(sport=sport, dport=dport, seq=sequence, flags=flags) / payload
    )


def connection(
    name: bytes, up: list[tuple[int, int]], down: int, *, port: int = 40000, start: int = 0, at: int = 1000
) -> list[Timed]:
    """Return a TLS connection in which the client sends bursts of *up* (ms after the start, bytes), and the server *down*."""
    first = records(hello(name, pad=1800))
    first = first[:11] + at.to_bytes(32, "big") + first[43:]  # the random value, so that no hello is taken for another one
    packets = [segment(start, at - 1, flags="S", port=port), segment(start + 1, 4999, flags="SA", back=True, port=port)]
    sent = [(start + 2, first), *((start + after, bytes(size)) for after, size in up)]
    for after, payload in sent:
        begins = range(0, len(payload), 1400)
        packets += [segment(after + begin // 14000, at + begin, payload[begin : begin + 1400], port=port) for begin in begins]
        at += len(payload)
    for begin in range(0, down, 1400):
        packets.append(segment(start + 50, 5000 + begin, bytes(min(1400, down - begin)), back=True, port=port))
        packets.append(segment(start + 51, at, port=port))
    end = max(after for after, _ in packets) + 5
    packets += [segment(end, at, flags="FA", port=port), segment(end + 1, 5000 + down, flags="FA", back=True, port=port)]
    return sorted(packets, key=lambda packet: packet[0])


HELLO = len(records(hello(b"pimeyes.com", pad=1800)))


def told(one: Seen) -> tuple[int | None, int | None, tuple[int, ...]]:
    """Return bytes up, bytes down, and the bursts of the client."""
    return one.observation.bytes_up, one.observation.bytes_down, tuple(size for _after, size in one.observation.bursts)


@functools.cache
def woven() -> list[Timed]:
    """Return two connections at one time, one of them of interest."""
    packets = connection(b"pimeyes.com", [(3000, 30_000), (9000, 2000)], 20_000)
    packets += connection(b"example.org", [(3000, 70_000)], 9000, port=40001)
    return sorted(packets, key=lambda packet: packet[0])


@pytest.mark.integration
@given(st.integers(300, 50_000), st.randoms(use_true_random=False), st.booleans())
@settings(deadline=None, max_examples=40)
def test_bytes_and_bursts_are_the_same_however_the_capture_comes_in(piece, chance, twice):
    """Sent again, captured twice, out of order, in pieces of any size: a byte counts once, or a page view becomes an upload."""
    packets = [packet for packet in woven() for _ in range(1 + twice)]
    for _ in range(20):  # neighbours change places
        at = chance.randrange(len(packets) - 1)
        if packets[at][0] == packets[at + 1][0]:
            packets[at], packets[at + 1] = packets[at + 1], packets[at]
    (one,) = flows(pcap(packets), piece=piece)
    assert told(one) == (HELLO + 32_000, 20_000, (HELLO, 30_000, 2000))
    seen = one.observation
    assert (seen.name, seen.client, seen.client_port, seen.server) == ("pimeyes.com", CLIENT, 40000, SERVER)
    assert seen.duration == pytest.approx(9.006)
    assert not seen.name_inferred


def test_packets_are_counted_each_way():
    """Acknowledgements are packets too."""
    (one,) = flows(pcap(connection(b"pimeyes.com", [], 2800)))
    assert (one.observation.packets_up, one.observation.packets_down) == (1 + 2 + 2 + 1, 1 + 2 + 1)


def test_a_connection_over_two_captures_is_one_and_its_hello_is_the_evidence():
    """`tcpdump -C` cuts in the middle of an upload."""
    packets = connection(b"pimeyes.com", [(3000, 60_000)], 1000)
    whole = flows(pcap(packets))
    for cut in (3, 20, len(packets) - 1):
        (one,) = flows(pcap(packets[:cut]), pcap(packets[cut:]))
        assert told(one) == told(whole[0])
        assert (one.path, one.frame) == ("0.pcap" if cut > 4 else "1.pcap", 4 if cut > 4 else 1)


def test_the_same_ports_used_again_are_another_connection():
    """Bytes of one access must not be added to another's."""
    first = connection(b"pimeyes.com", [(500, 5000)], 100)
    for second, expected in ((b"pimeyes.com", [5000, 7000]), (b"example.org", [5000])):
        again = connection(second, [(500, 7000)], 100, start=90_000, at=777_000)
        for captures in ([pcap(first), pcap(again)], [pcap(first + again)]):
            assert [told(one)[0] for one in flows(*captures)] == [HELLO + size for size in expected]


def test_a_connection_that_bore_two_names_is_nobodys():
    """A proxy's connection carries requests for many hosts: which bytes were whose cannot be told."""
    requests = [b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n" % (name, name) for name in (b"pimeyes.com", b"example.org")]
    for order in (requests, requests[::-1]):
        packets = [segment(0, 999, flags="S"), segment(1, 1000, order[0]), segment(9, 1000 + len(order[0]), order[1])]
        assert flows(pcap(packets)) == []


def answer(after: int, name: str, *, client: str = CLIENT) -> Timed:
    """Return a DNS answer that gives *name* the server's address."""
    message = DNS(qr=1, qd=DNSQR(qname=name), an=DNSRR(rrname=name, rdata=SERVER, ttl=300))
    return after, bytes(ETHER / IP(src="192.0.2.53", dst=client) / UDP(sport=53, dport=50000) / message)


def silent(start: int, *, port: int = 40000) -> list[Timed]:
    """Return a connection that names nobody."""
    return [segment(start, 999, flags="S", port=port), segment(start + 1, 1000, b"\x17" + bytes(20_000 - 1), port=port)]


def test_a_connection_without_a_name_is_told_by_the_address_that_was_resolved():
    """A browser's spare connection carries a search whose hello nobody captured."""
    (one,) = flows(pcap([answer(0, "pimeyes.com"), *silent(10)]))
    assert (one.observation.name, one.observation.name_inferred, told(one)[0]) == ("pimeyes.com", True, 20_000)


@pytest.mark.parametrize(
    "before",
    [
        [],
        [answer(0, "pimeyes.com", client="192.0.2.8")],
        [answer(0, "pimeyes.com"), answer(1, "example.org")],
        [answer(0, "pimeyes.com"), *connection(b"example.org", [], 100, port=40009)],
    ],
    ids=["no answer", "another client's", "two names", "another name was served"],
)
def test_an_address_that_may_serve_others_tells_no_name(before):
    """A thousand sites live behind one address of a content network; a guess would accuse people."""
    assert flows(pcap([*before, *silent(2000)])) == []


@pytest.mark.integration
def test_a_thousand_idle_connections_are_let_go():
    """What strangers open and never close is given up by the capture's own time."""
    chance = random.Random(3)
    packets = [packet for n in range(300) for packet in silent(n * 1000, port=1000 + n)]
    packets += connection(b"pimeyes.com", [], 500, port=60000, start=chance.randrange(300_000, 310_000))
    decoder = Decoder()
    book = FlowBook(decoder.resolved, lambda _seen: False)
    intake, parser = Intake(decoder, book=book), CaptureParser()
    data = pcap(packets)
    for at in range(0, len(data), 20_000):
        for lot in parser.feed(data[at : at + 20_000]):
            intake.take(lot)
    assert len(book) < 200
    assert not book.waiting
