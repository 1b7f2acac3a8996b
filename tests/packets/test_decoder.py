"""The decoder: streams put together, names never cut, nobody accused by bytes that only look like a request."""

from __future__ import annotations

import itertools
import random
import resource
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.mpls import MPLS
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, TCP, UDP, IPOption_RR, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, fragment6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE

from sentinel.packets import tcp
from sentinel.packets.decoder import Decoder
from tests.packets.made_packets import CLIENT, ETHER, SERVER, T0, datagram, decode, hello, names, records, segment, syn

HELLO = records(hello(pad=1800))
QUERY = bytes(DNS(qd=DNSQR(qname="app.Clearview.ai", qtype="HTTPS")))


def pieces(stream: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    """Return *stream* cut at the given places, each piece with its sequence number."""
    edges = sorted({0, len(stream), *cuts})
    return [(1001 + begin, stream[begin:end]) for begin, end in itertools.pairwise(edges)]


@given(st.lists(st.integers(1, len(HELLO) - 1), max_size=6), st.randoms(use_true_random=False), st.booleans())
@settings(deadline=None)
def test_a_hello_is_read_once_however_its_segments_come(cuts, chance, repeated):
    """Segments in any order, sent again, overlapping: the name is found, and it is found once."""
    sent = pieces(HELLO, cuts)
    if repeated:
        sent += [(1001 + begin, HELLO[begin : begin + 700]) for begin in (0, 300, 900)]
    chance.shuffle(sent)
    assert names(decode([syn(), *(segment(payload, seq=seq) for seq, payload in sent)])) == ["pimeyes.com"]


@pytest.mark.parametrize("size", [1, 5, 100, 16384])
def test_a_hello_may_take_several_records(size):
    """TLS may cut its messages anywhere, whatever TCP does."""
    assert names(decode([syn(), segment(records(hello(), size))])) == ["pimeyes.com"]


def test_a_stream_that_goes_round_zero_is_put_together():
    """Sequence numbers start anywhere, so that one hello in a million crosses 2**32."""
    first = 0xFFFFFFFF - 500
    packets = [syn(seq=first - 1), segment(HELLO[1000:], seq=(first + 1000) % 2**32), segment(HELLO[:1000], seq=first)]
    assert names(decode(packets)) == ["pimeyes.com"]


def test_a_snapped_hello_gives_the_whole_name_or_none():
    """`len` for `lenso.ai` would accuse, or acquit, the wrong people."""
    packets = [bytes(syn()), bytes(segment(HELLO))]
    shown = [names(decode(packets, snap=snap)) for snap in range(60, len(packets[1]) + 1)]
    assert shown == sorted(shown)  # nothing up to some length, the whole name from there on
    assert (shown[0], shown[-1]) == ([], ["pimeyes.com"])
    assert {tuple(each) for each in shown} == {(), ("pimeyes.com",)}


def test_a_hello_without_its_first_segment_gives_nothing():
    """The capture began too late, or lost it: nothing is guessed."""
    assert decode([syn(), segment(HELLO[1400:], seq=2401)]) == []


def test_a_hello_whose_tail_is_lost_gives_the_name_that_came():
    """The name is certain, the fingerprint is not."""
    stream = records(hello())
    decoder = Decoder()
    [seen] = decode([syn(), segment(stream[:-7])], decoder=decoder)
    assert (seen.observation.name, seen.observation.ja4) == ("pimeyes.com", None)
    assert decoder.counters["hellos_cut"] == 1


def test_a_new_connection_on_the_same_ports_is_a_new_hello():
    """Clients use their ports again; the second access must not be taken for a retransmission."""
    other = records(hello(b"facecheck.id"))
    packets = [syn(), segment(HELLO), syn(seq=900_000_000), segment(other, seq=900_000_001)]
    assert names(decode(packets)) == ["pimeyes.com", "facecheck.id"]


def test_a_body_that_looks_like_a_request_is_none():
    """Uploading a server's log must not count as visiting everything the log names."""
    body = b"GET http://pimeyes.com/ HTTP/1.1\r\nHost: pimeyes.com\r\n\r\n"
    head = b"POST /logs HTTP/1.1\r\nHost: intranet.example\r\nContent-Length: %d\r\n\r\n" % (3 * len(body))
    packets = [syn(dport=80), segment(head, dport=80)]
    packets += [segment(body, dport=80, seq=1001 + len(head) + n * len(body)) for n in range(3)]
    assert names(decode(packets)) == ["intranet.example"]


def test_a_chunked_body_is_passed_over_and_the_next_request_read():
    """The length of a chunked body is known only as it goes."""
    stream = (
        b"POST /a HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"25\r\nGET / HTTP/1.1\r\nHost: pimeyes.com\r\n\r\n\r\n0\r\n\r\n"
        b"GET /b HTTP/1.1\r\nHost: b.example\r\n\r\n"
    )
    sent = pieces(stream, [20, 80, 90, 120, 135])
    assert names(decode([syn(dport=80), *(segment(part, seq=seq, dport=80) for seq, part in sent)])) == [
        "a.example",
        "b.example",
    ]


def test_what_a_server_sends_is_no_request():
    """A page about HTTP begins a segment with a request; the server is not the client."""
    page = ETHER / IP(src=SERVER, dst=CLIENT) / TCP(sport=80, dport=40000, seq=5, flags="PA")
    page = page / b"GET / HTTP/1.1\r\nHost: pimeyes.com\r\n\r\n"
    answer = ETHER / IP(src=SERVER, dst=CLIENT) / TCP(sport=80, dport=40000, seq=4, flags="SA")
    assert decode([syn(dport=80), answer, page]) == []
    assert decode([answer, page]) == []


def test_tls_in_a_tunnel_is_read_beside_the_connect():
    """Behind a proxy both are the same person's access: where to, and what the tunnel then says."""
    connect = b"CONNECT pimeyes.com:443 HTTP/1.1\r\nHost: pimeyes.com:443\r\n\r\n"
    seen = decode([syn(dport=3128), segment(connect, dport=3128), segment(HELLO, dport=3128, seq=1001 + len(connect))])
    assert [(one.observation.kind, one.observation.name, one.frame) for one in seen] == [
        ("proxy_connect", "pimeyes.com", 2),
        ("tls_client_hello", "pimeyes.com", 3),
    ]


def test_tls_that_begins_later_in_a_stream_is_read():
    """STARTTLS: the connection was something else before."""
    greeting = b"EHLO desk\r\nSTARTTLS\r\n"
    packets = [syn(dport=587), segment(greeting, dport=587), segment(HELLO, dport=587, seq=1001 + len(greeting))]
    assert names(decode(packets)) == ["pimeyes.com"]


@pytest.mark.parametrize("name", ["a.example", "cloudflare-ech.com", "outer.example"])
def test_an_ech_extension_hides_a_name_only_behind_a_known_outer_name(name):
    """Browsers send the extension as GREASE to everyone: then the name is the true one."""
    config = bytes([7]) + b"\0\x20\0\x04" + b"\0\0\0\0" + b"\0\x04\0\1\0\1" + b"\x20" + bytes([13]) + b"outer.example" + b"\0\0"
    config = config[:3] + b"\0\x04" + config[5:]
    ech = struct.pack(">HH", 0xFE0D, len(config)) + config
    value = b"\0\1\0" + struct.pack(">HH", 5, len(ech) + 2) + struct.pack(">H", len(ech)) + ech
    record = DNSRR(rrname="b.example", type=65, rdata=value)
    answer = ETHER / IP(src=SERVER, dst=CLIENT) / UDP(sport=53, dport=999) / DNS(qr=1, qd=DNSQR(qname="b.example"), an=record)
    decoder = Decoder()
    seen = decode([answer, syn(), segment(records(hello(name.encode(), ech=bytes(50))))], decoder=decoder)
    assert seen[-1].observation.ech is (name != "a.example")
    assert decoder.counters["ech_grease"] == (name == "a.example")


TRANSPORT = IP(src=CLIENT, dst=SERVER) / UDP(sport=40000, dport=53) / QUERY
SIX = IPv6(src="2001:db8::7", dst="2001:db8::9")
FRAMES = {
    "vlan": (1, ETHER / Dot1Q(vlan=7) / TRANSPORT),
    "qinq": (1, ETHER / Dot1AD(vlan=7) / Dot1Q(vlan=8) / TRANSPORT),
    "mpls": (1, Ether(src=ETHER.src, dst=ETHER.dst, type=0x8847) / MPLS(label=16, s=0) / MPLS(label=17, s=1) / TRANSPORT),
    "pppoe": (1, ETHER / PPPoE(sessionid=1) / PPP() / TRANSPORT),
    "sll": (113, CookedLinux(proto=0x0800) / TRANSPORT),
    "sll2": (276, CookedLinuxV2(proto=0x0800) / TRANSPORT),
    "null": (0, b"\x02\0\0\0" + bytes(TRANSPORT)),
    "loop": (108, b"\0\0\0\x02" + bytes(TRANSPORT)),
    "raw": (101, TRANSPORT),
    "raw six": (101, SIX / UDP(sport=40000, dport=53) / QUERY),
    "options": (1, ETHER / IP(src=CLIENT, dst=SERVER, options=[IPOption_RR()]) / UDP(sport=40000, dport=53) / QUERY),
    "extensions": (1, ETHER / SIX / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=40000, dport=53) / QUERY),
    "null six": (0, b"\x1e\0\0\0" + bytes(SIX / UDP(sport=40000, dport=53) / QUERY)),
}


@pytest.mark.parametrize("frame", FRAMES)
def test_a_query_is_read_through_every_link_and_network_layer(frame):
    """Mirror ports, tunnels and loopback each dress the same packet differently."""
    link, packet = FRAMES[frame]
    [seen] = decode([packet], link=link)
    assert (seen.observation.name, seen.observation.query_type, seen.observation.client_port) == (
        "app.clearview.ai",
        "HTTPS",
        40000,
    )
    assert seen.observation.client in (CLIENT, "2001:db8::7")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 0, 2), (2, 0, 1)])
def test_fragments_are_put_together_in_any_order(order):
    """A resolver's long answers come in fragments, and some tunnels cut everything."""
    four = fragment(IP(src=CLIENT, dst=SERVER, id=7) / UDP(sport=40000, dport=53) / (QUERY + bytes(60)), fragsize=40)
    six = fragment6(SIX / IPv6ExtHdrFragment(id=9) / UDP(sport=40000, dport=53) / (QUERY + bytes(100)), 108)
    for parts in (four[:2] + four[2:3], six[:3]):
        assert len(parts) == 3
        assert names(decode([ETHER / parts[n] for n in order])) == ["app.clearview.ai"]


@pytest.mark.parametrize("port", [5353, 5355])
def test_neighbours_asking_each_other_are_no_dns_queries(port):
    """Neither mDNS nor LLMNR reaches no resolver; a printer's name is nobody's visit."""
    assert decode([datagram(QUERY, sport=port, dport=port)]) == []


@pytest.mark.integration
def test_dns_over_tcp_is_read_message_by_message():
    """Several in one segment, and one across segments; the answers from the other side."""
    stream = (struct.pack(">H", len(QUERY)) + QUERY) * 3
    sent = [segment(part, seq=seq, dport=53) for seq, part in pieces(stream, [1, 60])]
    assert names(decode([syn(dport=53), *sent])) == ["app.clearview.ai"] * 3
    assert names(decode([segment(stream, dport=53)])) == ["app.clearview.ai"] * 3
    reply = bytes(DNS(qr=1, qd=DNSQR(qname="app.clearview.ai"), an=DNSRR(rrname="app.clearview.ai", rdata="198.51.100.1")))
    back = (
        Ether()
        / IP(src=SERVER, dst=CLIENT)
        / TCP(sport=53, dport=40000, seq=9, flags="PA")
        / (struct.pack(">H", len(reply)) + reply)
    )
    [seen] = decode([back])
    assert (seen.observation.kind, seen.observation.client, seen.observation.answers) == (
        "dns_answer",
        CLIENT,
        ("198.51.100.1",),
    )


@given(st.lists(st.tuples(st.sampled_from([0, 1, 9, 12, 101, 108, 113, 228, 276, 147]), st.binary(max_size=200)), max_size=20))
@settings(deadline=None)
def test_any_frames_give_observations_and_no_error(frames):
    """What comes off the wire is the sender's to choose."""
    decoder = Decoder()
    for number, (link, frame) in enumerate(frames, 1):
        decoder.packet(T0, link, memoryview(frame), len(frame), number)
    decoder.finish()
    assert decoder.counters["packets"] == len(frames)


VALID = [
    bytes(packet) for packet in (segment(HELLO), datagram(QUERY), segment(b"GET / HTTP/1.1\r\nHost: a.b\r\n\r\n", dport=80))
]


@given(st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 2100), st.integers(0, 255)), max_size=8), st.integers(0, 2100))
@settings(deadline=None, max_examples=300)
def test_a_damaged_packet_gives_no_error(packet, changes, length):
    """Near to the real thing is where decoders stumble."""
    damaged = bytearray(packet)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    decode([bytes(damaged), bytes(damaged[:length])])


def test_half_open_hellos_by_the_thousand_stay_within_bounds(monkeypatch):
    """Whoever floods the network must not end the monitoring: what goes is counted."""
    monkeypatch.setattr(tcp, "MOST_BYTES", 2 * 1024 * 1024)
    decoder = Decoder()
    template = bytearray(bytes(segment(HELLO[:1400])))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(20_000):
        template[26:30] = struct.pack(">I", 0x0A000000 + number)
        decoder.packet(T0 + number * 1000, 1, memoryview(bytes(template)), len(template), number + 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024  # KiB
    assert decoder.counters["evicted"] > 15_000


def test_an_idle_stream_is_given_up_by_the_captures_own_time():
    """Replay has no clock but the packets'."""
    decoder = Decoder()
    for number, packet in enumerate([syn(), syn(sport=40001)]):
        raw = bytes(packet)
        decoder.packet(T0 + number * (tcp.TIMEOUT + 1), 1, memoryview(raw), len(raw), number + 1)
    assert decoder.counters["streams_idle"] == 1


def test_bulk_segments_leave_no_trace():
    """The middle of a download costs no memory, whatever its bytes."""
    chance = random.Random(1)
    decoder = Decoder()
    decode([segment(chance.randbytes(1400), seq=1 + n * 1400) for n in range(300)], decoder=decoder)
    assert not decoder._flows
