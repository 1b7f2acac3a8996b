"""TCP connections: each contact told once, whatever is lost, repeated or spoken before TLS begins."""

from __future__ import annotations

import itertools
import struct

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, TCP
from scapy.packet import Packet

from sentinel.packets import tcp
from sentinel.packets.decoder import Decoder
from tests.packets.made_packets import CLIENT, ETHER, SERVER, certificate, decode, flight, hello, names, records, segment, syn

HELLO = records(hello(pad=1800))
OTHER = records(hello(b"facecheck.id"))
GET = b"GET /%s HTTP/1.1\r\nHost: %s.example\r\n\r\n"
SOCKS5 = b"\x05\x02\0\x02" + b"\x01\x05alice\x06secret" + b"\x05\x01\0\x03\x0bpimeyes.com\x01\xbb"
SOCKS4A = b"\x04\x01\x01\xbb\0\0\0\x01alice\0pimeyes.com\0"
CONNECT = b"CONNECT pimeyes.com:443 HTTP/1.1\r\nHost: pimeyes.com:443\r\n\r\n"


def back(payload: bytes, *, seq: int = 9001, ack: int = 0, flags: str = "PA", port: int = 443) -> Packet:
    """Return a segment from the server to the client."""
    return ETHER / IP(src=SERVER, dst=CLIENT) / TCP(sport=port, dport=40000, seq=seq, ack=ack, flags=flags) / payload


def stream(payload: bytes, cuts: list[int] | None = None, *, port: int = 443, first: int = 1001) -> list[Packet]:
    """Return *payload* in segments that end at *cuts*."""
    edges = sorted({0, len(payload), *(cuts or [])} - set(range(len(payload) + 1, 10_000)))
    return [segment(payload[begin:end], seq=first + begin, dport=port) for begin, end in itertools.pairwise(edges)]


@pytest.fixture(scope="module")
def certificate_flight() -> bytes:
    """What a server of PimEyes sends first, in TLS 1.2."""
    return flight(certificate(["pimeyes.com", "*.pimeyes.com", "www.pimeyes.com"]))


def told(packets: list[Packet]) -> list[tuple[str, str | None]]:
    """Return kind and name of what *packets* show."""
    return [(one.observation.kind, one.observation.name) for one in decode(packets)]


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("first", [1, 2, 3, 4, 5, 6, 7, 600])
def test_a_hello_is_read_whether_or_not_its_opening_was_seen(opened, first):
    """A capture begins in the middle of things, and a middlebox may cut a hello after its first bytes."""
    packets = ([syn()] if opened else []) + stream(HELLO, [first])
    assert names(decode(packets)) == ["pimeyes.com"]


@pytest.mark.parametrize("opened", [True, False])
def test_a_hello_that_is_sent_again_is_told_once(opened):
    """Whole, in part, cut elsewhere, and after the server's answer: it is one contact, and would count as several."""
    packets = ([syn()] if opened else []) + stream(HELLO, [1400])
    packets += [
        *stream(HELLO, [1400]),
        syn(),
        *stream(HELLO),
        *stream(HELLO, [3, 1000]),
        back(b"\x16\x03\x03\0\x50\x02" + bytes(79)),
    ]
    packets += [*stream(HELLO, [700])[:1], segment(b"\x17\x03\x03\0\x05hello", seq=1001 + len(HELLO)), *stream(HELLO)]
    assert names(decode(packets)) == ["pimeyes.com"]


@given(st.lists(st.integers(1, len(HELLO) - 1), max_size=5), st.integers(0, 3), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_duplicated_packets_tell_nothing_twice(cuts, copies, chance):
    """A mirror port copies what comes in and what goes out: everything is there twice, a little later."""
    packets = [syn(), *stream(HELLO, cuts)]
    for _ in range(copies):
        again = chance.sample(packets, chance.randrange(1, len(packets) + 1))
        packets += again
    assert names(decode(packets)) == ["pimeyes.com"]


def test_the_second_hello_that_a_server_asks_for_is_no_second_contact():
    """HelloRetryRequest (RFC 8446, section 4.1.4): the same hello with another key share, and the same random value."""
    first, second = hello(pad=32), hello(pad=97)
    for between in (b"", b"\x14\x03\x03\0\x01\x01"):
        packets = [syn(), *stream(records(first)), back(b"\x16\x03\x03\0\x04\x02\0\0\0")]
        packets += stream(between + records(second), first=1001 + len(records(first)))
        assert names(decode(packets)) == ["pimeyes.com"]


def test_the_same_ports_used_again_are_another_contact():
    """Even for the same name, and even by a program whose random values are none."""
    packets = [syn(), *stream(HELLO), syn(seq=9_000_000), *stream(HELLO, first=9_000_001)]
    assert names(decode(packets)) == ["pimeyes.com"] * 2


def test_what_comes_behind_a_hole_is_read_when_the_hole_stays():
    """The capture lost a segment: the requests behind it are none the less made."""
    requests = [GET % (b"a" * 500, b"n%d" % n) for n in range(40)]
    places = list(itertools.accumulate(map(len, requests), initial=1001))
    packets = [syn(dport=80), *(segment(one, seq=at, dport=80) for one, at in zip(requests, places, strict=False))]
    del packets[3]
    told = [f"n{n}.example" for n in range(40) if n != 2]
    assert names(decode(packets)) == told
    few = [syn(dport=80), *packets[3:6]]  # two requests lost, and the connection ends
    assert names(decode([*few, segment(b"", seq=places[5], dport=80, flags="FA")])) == told[2:5]


def test_a_hole_that_keeps_too_much_waiting_is_given_up():
    """Behind a hole of a lost head, an upload: the requests after it are read all the same."""
    filler = bytes(1400)
    packets = [syn(dport=80), *(segment(filler, seq=2001 + n * 1400, dport=80) for n in range(60))]
    packets.append(segment(GET % (b"x", b"after"), seq=2001 + 60 * 1400, dport=80))
    assert names(decode(packets)) == ["after.example"]


def test_an_upload_whose_head_was_lost_asks_for_nothing():
    """The log of a server, sent up in segments that begin with what somebody asked that server for."""
    line = GET % (b"x", b"pimeyes")
    for opened in ([syn(dport=80)], []):
        packets = [*opened, *(segment(line * 30, seq=2001 + n * 30 * len(line), dport=80) for n in range(60))]
        assert decode(packets) == []


def test_a_connection_that_ends_is_told_and_forgotten_at_once():
    """FIN and RST: what came is told then, not two minutes later, and costs no memory."""
    for flags in ("FA", "R"):
        decoder = Decoder()
        packets = [syn(dport=80), segment(GET % (b"x", b"a"), dport=80), segment(b"", seq=1001 + 37, dport=80, flags=flags)]
        assert names(decode(packets[:2] + packets[2:], decoder=decoder)) == ["a.example"]
        assert not decoder._connections.streams.flows


def test_a_snapped_body_does_not_hide_the_next_request():
    """Of an upload only the first bytes of each packet were captured; what it lacks is passed over anyway."""
    head = b"POST /upload HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5000\r\n\r\n"
    sent = head + bytes(5000) + GET % (b"x", b"b")
    packets = [syn(dport=80), *stream(sent, [len(head), 1400, 2800, 4200, len(head) + 5000], port=80)]
    assert names(decode(packets, snap=200)) == ["a.example", "b.example"]


@pytest.mark.parametrize(
    "before",
    [
        [b"EHLO desk.example\r\n", b"STARTTLS\r\n"],
        [b"a1 CAPABILITY\r\n", b"a2 STARTTLS\r\n"],
        [b"CAPA\r\n", b"STLS\r\n"],
        [b"AUTH TLS\r\n"],
        [b"EHLO desk.example\r\nSTARTTLS\r\n"],
    ],
    ids=["smtp", "imap", "pop3", "ftp", "pipelined"],
)
@given(cuts=st.lists(st.integers(1, len(HELLO) - 1), max_size=4), chance=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=20)
def test_tls_after_plain_lines_is_read_however_its_segments_come(before, cuts, chance):
    """STARTTLS: the hello is the middle of a stream, and no less split and out of order for that."""
    lines = b"".join(before)
    sent = stream(HELLO, cuts, port=587, first=1001 + len(lines))
    chance.shuffle(sent)
    packets = [syn(dport=587), *stream(lines, list(itertools.accumulate(map(len, before))), port=587), *sent]
    assert names(decode(packets)) == ["pimeyes.com"]


def test_mail_that_contains_a_hello_or_request_is_no_contact():
    """What is written in a message was not asked for."""
    message = b"EHLO desk\r\nMAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nDATA\r\n"
    packets = [syn(dport=25), *stream(message, port=25)]
    packets += stream(GET % (b"x", b"pimeyes"), port=25, first=1001 + len(message))
    assert decode(packets) == []


@pytest.mark.parametrize("before", [CONNECT, SOCKS5, SOCKS4A], ids=["connect", "socks5", "socks4a"])
@given(cuts=st.lists(st.integers(1, 2000), max_size=6), chance=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=20)
def test_tls_in_a_tunnel_is_read_however_its_segments_come(before, cuts, chance):
    """Behind a proxy both are the same person's access: where to, and what the tunnel then says."""
    sent = stream(before + HELLO, [len(before), *cuts], port=1080)
    chance.shuffle(sent)
    assert told([syn(dport=1080), *sent]) == [("proxy_connect", "pimeyes.com"), ("tls_client_hello", "pimeyes.com")]


@pytest.mark.parametrize("before", [CONNECT, SOCKS5, SOCKS4A])
def test_a_request_in_a_tunnel_is_read(before):
    """Plain HTTP goes through tunnels as well."""
    packets = [syn(dport=1080), *stream(before + GET % (b"x", b"a"), port=1080)]
    assert told(packets) == [("proxy_connect", "pimeyes.com"), ("http_request", "a.example")]


def test_a_socks_request_tells_user_and_target():
    """The user is what the client says of itself: claimed."""
    for before in (SOCKS5, SOCKS4A):
        [seen] = decode([syn(dport=1080), *stream(before, port=1080)])
        assert (seen.observation.claimed_user, seen.observation.user, seen.observation.url) == (
            "alice",
            None,
            "pimeyes.com:443",
        )


def test_a_socks_request_for_an_address_names_nobody():
    """The address is told as the target, and is no host name."""
    for six, target in ((False, "203.0.113.9:443"), (True, "[2001:db8::9]:443")):
        packed = b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x09" if six else b"\x01\xcb\0\x71\x09"
        [seen] = decode([syn(dport=1080), *stream(b"\x05\x01\0\x05\x01\0" + packed + b"\x01\xbb", port=1080)])
        assert (seen.observation.kind, seen.observation.name, seen.observation.url) == ("proxy_connect", None, target)


def test_a_socks_request_is_read_without_the_greeting():
    """A capture that begins late; only a segment that is a whole request and nothing else is taken for one."""
    request = SOCKS5[-18:]
    assert request[0] == 5
    assert told(stream(request, port=1080)) == [("proxy_connect", "pimeyes.com")]
    assert told(stream(SOCKS4A, port=1080)) == [("proxy_connect", "pimeyes.com")]
    assert decode(stream(request + b"x", port=1080)) == []


def test_a_tunnel_that_carries_something_else_is_left_alone():
    """A log that is sent through a tunnel names whatever it names."""
    log = b"\0\1\2" + bytes(1000)
    packets = [syn(dport=3128), *stream(CONNECT + log, [len(CONNECT)], port=3128)]
    packets += stream(GET % (b"x", b"pimeyes"), port=3128, first=1001 + len(CONNECT) + len(log))
    assert told(packets) == [("proxy_connect", "pimeyes.com")]


def test_http2_requests_are_told_over_the_life_of_a_connection():
    """Prior knowledge: headers in several frames, padding, data in between, and tables that go on from one to the next."""
    encoder = hpack.Encoder()

    def block(path: str, host: str, **more: str) -> bytes:
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": host, "user-agent": "curl/8", **more}
        return encoder.encode(list(fields.items()))

    def frame(kind: int, flags: int, number: int, body: bytes) -> bytes:
        return len(body).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + body

    first, second = block("/api?x=1", "pimeyes.com", **{"content-length": "300000"}), block("/b", "facecheck.id")
    sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, bytes(6))
    sent += frame(1, 0, 1, first[:9]) + frame(9, 4, 1, first[9:]) + frame(0, 1, 1, GET % (b"x", b"not-this") + bytes(3000))
    sent += frame(1, 4 | 8 | 32, 3, b"\x05" + bytes(5) + second + bytes(5)) + frame(8, 0, 0, bytes(4))
    for opened in ([syn(dport=80)], []):
        seen = decode([*opened, *stream(sent, list(range(30, 4000, 701)), port=80)])
        assert [(one.observation.kind, one.observation.url) for one in seen] == [
            ("http_request", "http://pimeyes.com/api?x=1"),
            ("http_request", "http://facecheck.id/b"),
        ]
        one = seen[0].observation
        assert (one.method, one.path, one.query, one.bytes_up, one.user_agent) == ("POST", "/api", "x=1", 300000, "curl/8")


def test_http2_whose_tables_were_lost_ends_and_is_counted():
    """A header that refers to what was not captured could name anybody."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    decoder = Decoder()
    assert decode([syn(dport=80), *stream(preface + b"\0\0\x01\x01\x04\0\0\0\x01\xbf", port=80)], decoder=decoder) == []
    assert decoder.noteworthy() == {"HTTP/2 connections that do not come apart": 1}


def test_a_server_names_itself_where_the_client_does_not(certificate_flight):
    """TLS 1.2: the certificate is a hint of its own kind, given only when no name was asked for."""
    for asked, expected in ((None, [("tls_certificate", "pimeyes.com")]), (b"a.example", [])):
        client = records(hello(asked))
        packets = [syn(), back(b"", seq=9000, flags="SA", ack=1001), *stream(client)]
        for each in packets[2:]:
            each[TCP].ack = 9001
        server = [back(certificate_flight[at : at + 150], seq=9001 + at) for at in range(0, len(certificate_flight), 150)]
        server[0], server[1] = server[1], server[0]
        assert told(packets + server) == [("tls_client_hello", asked.decode() if asked else None), *expected]


def test_a_server_whose_client_was_not_seen_names_itself(certificate_flight):
    """A mirror of one direction, or a capture that began between the two; the answer is told of the client."""
    [seen] = decode([back(certificate_flight)])
    assert (seen.observation.kind, seen.observation.client, seen.observation.server_port) == ("tls_certificate", CLIENT, 443)
    assert seen.observation.names == ("www.pimeyes.com",)


def test_a_certificate_whose_end_is_missing_is_counted(certificate_flight):
    """A filter in the kernel lets the first segment through and not the others: nothing is told, and that is."""
    decoder = Decoder()
    assert decode([back(certificate_flight[:300])], decoder=decoder) == []
    assert decoder.noteworthy() == {"server certificates whose end is missing": 1}


def test_half_of_what_a_client_sends_says_nothing_of_the_other_half():
    """A name is never put together from two connections that used the same ports."""
    packets = [syn(), *stream(HELLO, [1400])[:1], syn(seq=700_000), *stream(OTHER, [40], first=700_001)]
    assert names(decode(packets)) == ["facecheck.id"]


def test_what_is_kept_is_bounded_and_accounted(monkeypatch):
    """Bytes counted in must be counted out again, or the table empties itself for nothing after some days."""
    decoder = Decoder()
    packets = [syn(dport=80), *stream(CONNECT + HELLO, [10, 500, 1900], port=80), segment(b"x", seq=90_000, dport=80)]
    packets += [syn(sport=40001), segment(HELLO[1000:], seq=2001, sport=40001), segment(b"", sport=40001, flags="R")]
    decode(packets, decoder=decoder)
    assert decoder._connections.streams._bytes == 0
    assert not decoder._connections.streams.flows


def test_what_was_read_is_not_read_again_when_it_comes_late():
    """A path that sends packets twice may bring a whole connection's copy after its end. One query is one query."""
    query = bytes(DNS(qd=DNSQR(qname="pimeyes.com")))
    sent = [syn(dport=53), segment(struct.pack(">H", len(query)) + query, dport=53)]
    for end in ("FA", "R"):
        after = segment(b"", seq=1001 + 2 + len(query), dport=53, flags=end)
        assert told([*sent, after, *sent]) == [("dns_query", "pimeyes.com")]
        assert told([*sent, after, sent[1]]) == [("dns_query", "pimeyes.com")]
        anew = [syn(seq=9000, dport=53), segment(struct.pack(">H", len(query)) + query, seq=9001, dport=53)]
        assert told([*sent, after, *anew]) == [("dns_query", "pimeyes.com")] * 2


def test_dns_over_tcp_is_not_looked_through_for_hellos():
    """A message of 5,635 bytes begins like a TLS record."""
    message = b"\x16\x03" + bytes([1, 0]) + b"\x01\0\0\x01" + bytes(6) + b"\x07pimeyes\x03com\0\0\1\0\1"
    message += bytes(2 + 0x1603 - len(message))
    assert told([syn(dport=53), *stream(message, [1, 2, 3, 1400, 2800], port=53)]) == [("dns_query", "pimeyes.com")]
    assert struct.unpack(">H", message[:2])[0] == len(message) - 2
    assert tcp.LARGEST_STREAM > 0xFFFF
