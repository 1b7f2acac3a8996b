#!/usr/bin/env python3
"""Feeds the packet decoders with bytes that libFuzzer makes up, led by what code they reach.

    python3 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris hypothesis scapy -e .
    /tmp/fuzz/bin/python tests/tools/fuzz_packets.py streams /tmp/corpus -max_total_time=300

The first argument names the target, one of `TARGETS`; the others are libFuzzer's. The folder keeps what was found to be worth
trying. Any bytes must give a result or the one declared error: whatever else is raised ends the run, and the bytes are kept.
docs/packets.md tells the last long run.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FunctionType

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # when run as a program

from hpack import Encoder
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, fragment
from scapy.layers.l2 import GRE, Ether
from scapy.utils import wrpcapng

from sentinel.packets import certificates, dns, http1, http2, link, quic, socks, starttls, tls
from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.records import CaptureParser
from sentinel.packets.sieve_intake import Intake
from sentinel.packets.wire import Undecodable
from tests.packets.made_packets import ETHER, T0, certificate, datagram, flight, hello, records, segment, syn
from tests.packets.test_packets_quic import crypto, initial

LINKS = (1, 0, 9, 12, 101, 108, 113, 228, 229, 276)
HEAD = bytes(segment(b""))


def cuts(data: bytes, most: int = 0xFFFF) -> Iterator[bytes]:
    """Yield pieces of *data*, each as long as the two bytes before it say."""
    while len(data) > 2:
        size = int.from_bytes(data[:2], "big") % most
        yield data[2 : 2 + size]
        data = data[2 + size :]


def names(data: bytes) -> None:
    """DNS messages."""
    dns.read(data)


def hellos(data: bytes) -> None:
    """TLS records, and the ClientHello in them."""
    with suppress(Undecodable):
        tls.handshake(data)
    hello = tls.read(data)
    tls.ja4(hello, "t")


def certified(data: bytes) -> None:
    """A server's first flight, and a certificate."""
    with suppress(Undecodable):
        certificates.leaf(data)
    certificates.of_one_site(certificates.names(data))


def requests(data: bytes) -> None:
    """HTTP/1 heads and chunk lines."""
    http1.begins(data)
    http1.stands_alone(data)
    http1.read(data)
    http1.read(data, whole=False)
    http1.chunk(data)


def frames(data: bytes) -> None:
    """HTTP/2 frames."""
    step, reader = True, http2.Frames()
    while step and (step := reader.step(data)):
        data = data[step[0] :]


def proxies(data: bytes) -> None:
    """SOCKS messages, and the lines before STARTTLS."""
    if not data:
        return  # nobody is asked about nothing
    socks.begins(data)
    socks.is_request(data)
    starttls.line(data)
    while data and (asked := socks.message(data)) is not None:
        assert asked.size > 0
        data = data[asked.size :]


def initials(data: bytes) -> None:
    """QUIC datagrams as they come, and their frames as they are once decrypted."""
    connections = quic.Initials(Counter())
    with suppress(Undecodable):
        connections.datagram(bytes(12), data, T0)
    for number, part in enumerate(cuts(data, 1300)):
        with suppress(Undecodable):
            connections.datagram(bytes(11) + b"\1", initial(part, number=number % 256), T0 + number)


def links(data: bytes) -> None:
    """Frames of every link type: headers, tunnels, fragments, and what is in them."""
    kind = data[0] if data else 0
    link.network(LINKS[kind % len(LINKS)], memoryview(data)[1:])


def packets(data: bytes) -> None:
    """Several packets into one decoder."""
    decoder = Decoder()
    kind = LINKS[data[0] % len(LINKS)] if data else 1
    for number, part in enumerate(cuts(data[1:]), 1):
        decoder.packet(T0 + number * 1_000_000_000, kind, memoryview(part), len(part) + number % 2, number)
    _ended(decoder)


def streams(data: bytes) -> None:
    """A TCP connection, each segment's place, direction and flags being made up too."""
    decoder = Decoder()
    ports = (443, 80, 53, 25)[data[0] % 4] if data else 443
    for number, part in enumerate(cuts(data[1:], 3000), 1):
        frame = bytearray(HEAD) + part[3:]
        place = int.from_bytes(part[:2], "big")
        frame[16:18], frame[38:42] = (len(frame) - 14).to_bytes(2, "big"), (0xFFFFF000 + place & 0xFFFFFFFF).to_bytes(4, "big")
        flags = part[2] if len(part) > 2 else 2
        frame[47] = flags & 0x17
        back = bool(flags & 0x80)
        frame[34:38] = (ports << 16 | 40000 if back else 40000 << 16 | ports).to_bytes(4, "big")
        if back:
            frame[26:34] = frame[30:34] + frame[26:30]
        decoder.packet(T0 + number, 1, memoryview(frame), len(frame), number)
    _ended(decoder)


def captures(data: bytes) -> None:
    """A capture file, in pieces."""
    decoder, parser = Decoder(), CaptureParser()
    book = FlowBook(decoder.resolved, lambda _seen: True)
    intake = Intake(decoder, book=book)
    size = 1 + (data[-1] if data else 0) * 7
    with suppress(Undecodable):
        for at in range(0, len(data), size):
            for some in parser.feed(data[at : at + size]):
                intake.take(some)
    parser.finish()
    book.finish()
    _ended(decoder)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        names, hellos, certified, requests, frames, proxies, initials, links, packets, streams, captures,
    )
}  # fmt: skip


@cache
def seeds() -> dict[str, list[bytes]]:
    """Return something that each target reads, for libFuzzer to begin with."""
    question = DNSQR(qname="pimeyes.com")
    answer = DNSRR(rrname="pimeyes.com", rdata="198.51.100.1") / DNSRR(rrname="a.example", type="CNAME", rdata="b.example")
    messages = [bytes(DNS(qd=question)), bytes(DNS(qr=1, qd=question, an=answer))]
    stream, get = (
        records(hello(pad=300, ech=bytes(9))),
        b"GET http://a.example/b?c HTTP/1.1\r\nHost: b\r\nContent-Length: 9\r\n\r\n",
    )
    block = Encoder().encode([(":method", "GET"), (":path", "/"), (":authority", "a.example")])
    two = len(block).to_bytes(3, "big") + b"\1\4\0\0\0\1" + block + b"\0\0\4\0\1\0\0\0\1abcd"
    proxy = [b"\x05\x02\0\x02\x01\x05alice\x06secret\x05\x01\0\x03\x01a\x01\xbb", b"\x04\x01\x01\xbb\0\0\0\x01me\0a.example\0"]
    parts = [crypto(hello(), 0, 60), crypto(hello(), 60, len(hello()))]
    udp = [datagram(messages[0]), datagram(initial(parts[0] + parts[1]), dport=443)]
    wrapped = [ETHER / IP(src="10.0.0.1", dst="10.0.0.2") / GRE() / udp[0][IP], *fragment(udp[0], fragsize=40)]
    tcp = [syn(), segment(stream[:200]), segment(stream[200:], seq=1201), segment(get, dport=80)]
    raw = [bytes(one) for one in (*tcp, *udp, *wrapped)]
    said = [stream[:200], stream[200:], get, proxy[0], b"STARTTLS\r\n", len(messages[0]).to_bytes(2, "big") + messages[0]]
    places = [b"\x10\0\x10" + said[0], (0x1000 + 200).to_bytes(2, "big") + b"\x10" + said[1], b"\x0f\xff\x02"]
    file = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1)
    file += b"".join(struct.pack("<IIII", 1_700_000_000, n, len(one), len(one)) + one for n, one in enumerate(raw))
    return {
        "names": messages,
        "hellos": [stream, hello()],
        "certified": [flight(certificate(["a.example", "b.example"])), certificate(["a.example"])],
        "requests": [get, b"1f;x\r\n", b"CONNECT a.example:443 HTTP/1.1\r\n\r\n"],
        "frames": [two],
        "proxies": [*proxy, b"a1 STARTTLS\r\n"],
        "initials": [initial(parts[0] + parts[1]), b"".join(len(one).to_bytes(2, "big") + one for one in parts)],
        "links": [b"\0" + one for one in raw],
        "packets": [b"\0" + b"".join(len(one).to_bytes(2, "big") + one for one in raw)],
        "streams": [b"\0" + b"".join(len(one).to_bytes(2, "big") + one for one in (*places[::-1], *places))],
        "captures": [file, _pcapng(raw)],
    }


def _pcapng(raw: list[bytes]) -> bytes:
    with TemporaryDirectory() as folder:
        wrpcapng(f"{folder}/a", [Ether(one) for one in raw])
        return Path(folder, "a").read_bytes()


def _ended(decoder: Decoder) -> None:
    decoder.finish()
    assert not decoder._connections.streams.flows
    assert decoder._connections.streams._bytes == 0


def _ours() -> Iterator[FunctionType]:
    """Yield the decoders' functions, which libFuzzer is to watch."""
    for name, module in list(sys.modules.items()):
        if name.startswith("sentinel.packets"):
            for thing in vars(module).values():
                for each in (thing, *(vars(thing).values() if isinstance(thing, type) else ())):
                    if isinstance(each, FunctionType) and each.__module__ == name:
                        yield each


def main() -> None:
    """Run the target that is named until libFuzzer has enough."""
    import atheris

    target = TARGETS[sys.argv[1]]

    def one(data: bytes) -> None:
        with suppress(Undecodable):
            target(data)

    for function in _ours():
        atheris.instrument_func(function)
    for folder in (Path(one) for one in sys.argv[2:] if not one.startswith("-")):
        folder.mkdir(exist_ok=True)
        for number, seed in enumerate(seeds()[sys.argv[1]]):
            (folder / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
