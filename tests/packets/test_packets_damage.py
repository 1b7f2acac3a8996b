"""Whole conversations of real programs, damaged: nothing crashes, no name is made up, no contact is told twice."""

from __future__ import annotations

import contextlib
import ssl
from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import h2.config
import h2.connection
import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.l2 import GRE
from scapy.packet import Packet, Raw

from sentinel.packets.decoder import Decoder
from tests.packets.made_packets import CLIENT, ETHER, SERVER, T0, certificate_and_key

NAMES = frozenset({"app.clearview.ai", "pimeyes.com", "www.pimeyes.com", "facecheck.id", "lenso.ai", "edge.example"})
SIZE = 700  # of a segment: every hello takes two or more


class Line:
    """One TCP connection, written down segment by segment as it goes to and fro."""

    def __init__(self, port: int, server_port: int) -> None:
        self._ports = {True: (port, server_port), False: (server_port, port)}
        self._next = {True: 1000, False: 900_000}
        self.frames: list[bytes] = []
        self._send(True, b"", "S")
        self._send(False, b"", "SA")

    def _send(self, up: bool, payload: bytes, flags: str) -> None:
        ports, ends = self._ports[up], (CLIENT, SERVER) if up else (SERVER, CLIENT)
        header = TCP(sport=ports[0], dport=ports[1], seq=self._next[up], ack=self._next[not up], flags=flags)
        self.frames.append(bytes(ETHER / IP(src=ends[0], dst=ends[1]) / header / Raw(payload)))
        self._next[up] += len(payload) + ("S" in flags)

    def say(self, up: bool, stream: bytes) -> Line:
        """Write down what one side says."""
        for at in range(0, len(stream), SIZE):
            self._send(up, stream[at : at + SIZE], "PA")
        return self

    def end(self) -> list[bytes]:
        """Write down the end, and return all."""
        self._send(True, b"", "FA")
        return self.frames


def handshake(line: Line, name: str | None, version: ssl.TLSVersion) -> Line:
    """Let OpenSSL's client and server talk over *line*."""
    served, asks = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made, key = certificate_and_key(["pimeyes.com", "www.pimeyes.com"])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        plain = serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
        served.load_cert_chain(path)
    asks.check_hostname, asks.verify_mode = False, ssl.CERT_NONE
    asks.minimum_version = asks.maximum_version = version
    asks.set_alpn_protocols(["h2", "http/1.1"])
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asks.wrap_bio(to_client, to_server, server_hostname=name)
    server = served.wrap_bio(to_server_copy := ssl.MemoryBIO(), to_client_copy := ssl.MemoryBIO(), server_side=True)
    for _ in range(4):
        for side, out, into, up in ((client, to_server, to_server_copy, True), (server, to_client_copy, to_client, False)):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            stream = out.read()
            line.say(up, stream)
            into.write(stream)
    return line


def quic() -> list[bytes]:
    """Return the datagrams of aioquic's client, whose hello takes two."""
    protocols = [f"protocol-number-{n:03d}" for n in range(90)]
    client = QuicConnection(configuration=QuicConfiguration(alpn_protocols=protocols, server_name="app.clearview.ai"))
    client.connect(("203.0.113.9", 443), now=1.0)
    return [
        bytes(ETHER / IP(src=CLIENT, dst=SERVER) / UDP(sport=50000, dport=443) / data)
        for data, _ in client.datagrams_to_send(1.0)
    ]


def http2() -> bytes:
    """Return what the library h2's client sends for two requests."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    for number, host in ((1, "facecheck.id"), (3, "lenso.ai")):
        fields = [(":method", "POST"), (":authority", host), (":scheme", "http"), (":path", "/"), ("x", "y" * 900)]
        client.send_headers(number, fields)
        client.send_data(number, b"GET / HTTP/1.1\r\nHost: not.example\r\n\r\n" * 20, end_stream=True)
    return client.data_to_send()


@cache
def conversation() -> tuple[bytes, ...]:
    """Return the frames of all of them, one after the other."""
    question = DNSQR(qname="pimeyes.com")
    records = [
        DNSRR(rrname="pimeyes.com", type="CNAME", rdata="edge.example"),
        DNSRR(rrname="edge.example", rdata="198.51.100.1"),
    ]
    messages = [bytes(DNS(qd=question)), bytes(DNS(qr=1, qd=question, an=records))]
    over_tcp = [len(message).to_bytes(2, "big") + message for message in messages]
    body = b"GET / HTTP/1.1\r\nHost: not.example\r\n\r\n" * 40
    post = b"POST /api/upload_pic HTTP/1.1\r\nHost: facecheck.id\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    get = b"GET /%s HTTP/1.1\r\nHost: lenso.ai\r\n\r\n" % (b"x" * 900)
    six, two = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2
    socks = b"\x05\x01\0\x05\x01\0\x03\x0cfacecheck.id\x01\xbb"
    connect = b"CONNECT app.clearview.ai:443 HTTP/1.1\r\nHost: app.clearview.ai:443\r\n\r\n"
    frames = [
        *handshake(Line(40000, 443), "app.clearview.ai", six).end(),
        *handshake(Line(40001, 443), None, two).end(),
        *handshake(Line(40002, 3128).say(True, connect).say(False, b"HTTP/1.1 200 OK\r\n\r\n"), "app.clearview.ai", six).end(),
        *handshake(Line(40003, 1080).say(True, socks), "facecheck.id", two).end(),
        *handshake(Line(40004, 587).say(True, b"EHLO x\r\nSTARTTLS\r\n").say(False, b"220 go\r\n"), "lenso.ai", six).end(),
        *Line(40005, 80).say(True, post + get + post).say(False, body).end(),
        *Line(40006, 8080).say(True, http2()).end(),
        *Line(40007, 53).say(True, over_tcp[0] * 3).say(False, over_tcp[1]).end(),
        *quic(),
    ]
    tunnelled = IP(src="10.0.0.1", dst="10.0.0.2", id=5) / GRE() / IP(src=CLIENT, dst=SERVER)
    tunnelled /= UDP(sport=40008, dport=53) / Raw(messages[0] + bytes(600))
    parts: list[Packet] = [ETHER / part for part in fragment(tunnelled, fragsize=400)]
    return (*frames, *map(bytes, parts))


def run(frames: list[tuple[bytes, int]]) -> tuple[Counter[tuple[str, int]], set[str], Decoder]:
    """Decode frames, each cut to a length: the hellos of each client port, all names, and the decoder."""
    decoder = Decoder()
    seen = []
    for number, (frame, length) in enumerate(frames, 1):
        seen += decoder.packet(T0 + number * 1_000_000, 1, memoryview(frame)[:length], len(frame), number)
    told = [one.observation for one in seen + decoder.finish()]
    hellos = Counter((one.kind, one.client_port or 0) for one in told if one.kind.endswith("hello"))
    return hellos, {name for one in told for name in (one.name, *one.names) if name}, decoder


def test_undamaged_everything_is_told():
    """Without this, the tests below would hold for a decoder that tells nothing."""
    hellos, names, decoder = run([(frame, len(frame)) for frame in conversation()])
    assert names == NAMES
    assert set(hellos.values()) == {1}
    assert {port for _, port in hellos} == {40000, 40001, 40002, 40003, 40004, 50000}
    assert not decoder._connections.streams.flows
    assert decoder.noteworthy() == {}


@pytest.mark.integration
@given(st.randoms(use_true_random=False), st.sampled_from([0.0, 0.05, 0.3]), st.sampled_from([0, 3, 30]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_lost_repeated_reordered_and_snapped_packets_make_up_no_name(chance, loss, distance, snapped):
    """Bad captures lose names; they never make one up, cut one short, or tell one contact twice."""
    frames = [frame for frame in conversation() if chance.random() >= loss]
    frames += chance.sample(frames, min(len(frames), distance))
    places = sorted(range(len(frames)), key=lambda at: at + chance.random() * distance)
    length = chance.choice([96, 128, 256, 700]) if snapped else 1 << 16
    hellos, names, _ = run([(frames[at], length) for at in places])
    assert names <= NAMES
    assert set(hellos.values()) <= {1}


@pytest.mark.integration
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 1500), st.integers(0, 255)), max_size=40), st.integers(0, 60))
@settings(deadline=None, max_examples=60)
def test_changed_bytes_end_nothing(changes, length):
    """Any byte of any packet may be anything: the rest is read all the same, and nothing stays behind."""
    frames = list(conversation())
    for which, at, value in changes:
        frame = bytearray(frames[which % len(frames)])
        frame[at % len(frame)] = value
        frames[which % len(frames)] = bytes(frame)
    kept = [(frame, len(frame) - (length if number % 7 == 0 else 0)) for number, frame in enumerate(frames)]
    _, _, decoder = run(kept)
    assert not decoder._connections.streams.flows
    assert decoder._connections.streams._bytes == 0


@pytest.mark.parametrize("link", [0, 1, 9, 12, 101, 108, 113, 228, 229, 276])
def test_frames_under_another_link_type_end_nothing(link):
    """A capture's header may lie about its link type."""
    decoder = Decoder()
    for number, frame in enumerate(conversation(), 1):
        decoder.packet(T0, link, memoryview(frame), len(frame), number)
    decoder.finish()
    assert decoder.counters["packets"] == len(conversation())
