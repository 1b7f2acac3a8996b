"""Connections that are counted packet by packet come to the same as those that are counted many at once."""

from __future__ import annotations

import itertools

import pytest
from scapy.contrib.erspan import ERSPAN_II
from scapy.layers.inet import GRE, IP, TCP, UDP, IPOption_Router_Alert, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet

from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.meter import Meter
from sentinel.packets.seen import Seen
from sentinel.sources.kernel_filter import kernel_filter
from tests.packets.made_packets import CLIENT, ETHER, SERVER, T0, hello, records
from tests.packets.test_flow_book import HELLO, Timed, answer, connection, flows, pcap, silent, told, woven
from tests.sources.test_kernel_filter import kernel

OUTER = ETHER / IP(src="10.0.0.1", dst="10.0.0.2")
WRAPPED = {
    "GRE": lambda inner: [OUTER / GRE() / inner[IP]],
    "ERSPAN": lambda inner: [OUTER / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II() / inner],
    "VXLAN": lambda inner: [OUTER / UDP(sport=5, dport=4789) / VXLAN(vni=7, flags=8) / inner],
    "IP in IP": lambda inner: [OUTER / inner[IP]],
    "fragments": lambda inner: [ETHER / part for part in fragment(inner[IP], fragsize=600)],
    "fragments in GRE": lambda inner: [OUTER / GRE() / part for part in fragment(inner[IP], fragsize=600)],
    "IPv4 options": lambda inner: [
        ETHER / IP(src=inner[IP].src, dst=inner[IP].dst, options=[IPOption_Router_Alert()]) / inner[TCP]
    ],
}


def wrapped(packets: list[Timed], how: str) -> list[Timed]:
    """Return *packets*, each as it comes through a tunnel, cut to fragments or with options."""
    out = []
    for number, (after, raw) in enumerate(packets):
        parts = WRAPPED[how](Ether(raw)) if TCP in Ether(raw) else [Ether(raw)]
        for part in parts:
            if part[IP].frag or part[IP].flags.MF:
                part[IP].id = number
            inner = part[GRE][IP] if GRE in part and IP in part[GRE] else part[IP]
            inner.id = number
            out.append((after, bytes(part)))
    return out


@pytest.mark.integration
@pytest.mark.parametrize("how", WRAPPED)
def test_a_connection_counts_as_it_would_without_what_is_around_it(how):
    """A mirror that comes through a tunnel must not hide an upload."""
    packets = woven()
    plain, (one,) = flows(pcap(packets))[0], flows(pcap(wrapped(packets, how)))
    assert one.observation == plain.observation
    twice = [packet for packet in wrapped(packets, how) for _ in range(2)]
    assert told(flows(pcap(twice))[0]) == told(plain)


def test_extension_headers_of_ip_version_6_hide_nothing():
    """The same for a layout that only the decoder reads."""
    packets = []
    for after, raw in connection(b"pimeyes.com", [(3000, 30_000)], 9000):
        inner = Ether(raw)
        ends = ("2001:db8::7", "2001:db8::9") if inner[IP].src == CLIENT else ("2001:db8::9", "2001:db8::7")
        packets.append((after, bytes(ETHER / IPv6(src=ends[0], dst=ends[1]) / IPv6ExtHdrDestOpt() / inner[TCP])))
    (one,) = flows(pcap(packets))
    assert told(one) == (HELLO + 30_000, 9000, (HELLO, 30_000))


def test_a_silent_connection_in_a_tunnel_is_told_by_its_address():
    """And one that nobody asked about is forgotten after a while."""
    packets = [answer(0, "pimeyes.com"), *wrapped(silent(10), "GRE"), *wrapped(silent(3000, port=40001), "GRE")]
    assert [told(one)[0] for one in flows(pcap(packets))] == [20_000, 20_000]
    assert flows(pcap(wrapped(silent(10) * 100, "GRE"))) == []


def exchange(up: list[int], down: list[int], *, port: int = 40000, end: str = "FA") -> list[Packet]:
    """Return a TLS connection with true acknowledgements: the client sends *up* bytes and is answered with *down* bytes."""
    numbers, packets = {True: 1000, False: 5000}, []

    def say(by_client: bool, payload: bytes, flags: str = "A") -> None:
        source, destination = (CLIENT, SERVER) if by_client else (SERVER, CLIENT)
        sport, dport = (port, 443) if by_client else (443, port)
        head = TCP(sport=sport, dport=dport, seq=numbers[by_client], ack=numbers[not by_client], flags=flags)
        packets.append(ETHER / IP(src=source, dst=destination) / head / payload)
        numbers[by_client] += len(payload) + ("S" in flags or "F" in flags)

    say(True, b"", "S")
    say(False, b"", "SA")
    said = [records(hello(pad=1800)), *(b"\x17\x03\x03\x40\x00" + bytes(size - 5) for size in up)]
    for request, size in itertools.zip_longest(said, down):
        for by_client, stream in ((True, request), (False, b"\x17\x03\x03\x40\x00" + bytes((size or 5) - 5))):
            for at in range(0, len(stream or b""), 1400):
                say(by_client, stream[at : at + 1400])
                say(not by_client, b"")
    for by_client in (True, False):
        say(by_client, b"", end)
        say(not by_client, b"")
    return packets


def live(packets: list[Packet]) -> list[Seen]:
    """Return the connections that an interface tells, with what the kernel lets through of *packets*."""
    decoder = Decoder()
    book = FlowBook(decoder.resolved, lambda _seen: True, every_packet=False)
    decoder.metered, meter = book, Meter(book, decoder.whole_ports, live=True)
    with kernel(kernel_filter(ethernet=True, dns_ports={53}, outgoing=False)) as passes:
        let_through = [raw for raw in map(bytes, packets) if passes(raw)]
    for number, raw in enumerate(let_through, 1):
        seen = decoder.packet(T0 + number * 1_000_000, 1, memoryview(raw), len(raw), number)
        if decoder.inner is not None:
            meter.take(decoder.inner, T0 + number * 1_000_000, number, memoryview(raw), seen)
            decoder.inner = None
    return book.finish()


@pytest.mark.integration
@pytest.mark.parametrize("end", ["FA", "RA"])
@pytest.mark.parametrize(
    ("up", "down"), [([300_000, 900], [900, 50_000]), ([20_000], [3000, 2000]), ([6000] * 5, [70_000] * 5)]
)
def test_an_interface_tells_how_much_each_side_sent_though_it_sees_a_part(up, down, end):
    """The kernel keeps most of a transfer back; the numbers in what comes through say how long it was."""
    (one,) = live(exchange(up, down, end=end))
    sent, got, bursts = told(one)
    assert (one.observation.name, sent) == ("pimeyes.com", HELLO + sum(up))
    assert got == sum(down) + 5 * (len(up) + 1 - len(down))
    assert sum(bursts) == sent
    assert one.observation.packets_up is None


def test_an_interface_counts_what_it_knows_a_name_for_and_nothing_else():
    """A connection without a name is counted where its client had resolved the address."""
    packets = [one for one in exchange([20_000], [500]) if one[TCP].flags.S or bytes(one[TCP].payload)[:1] != b"\x16"]
    packets = [one for one in packets if one[TCP].seq >= 1000 + 1 + HELLO or one[IP].src == SERVER or one[TCP].flags.S]
    assert live(packets) == []
    (one,) = live([Ether(answer(0, "pimeyes.com")[1]), *packets])
    assert (one.observation.name, one.observation.name_inferred) == ("pimeyes.com", True)
