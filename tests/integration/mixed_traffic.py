"""A capture of what a mirror port shows: mostly downloads over TLS and QUIC, and among them accesses that are known."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.packets.made_packets import hello, records
from tests.packets.test_packets_quic import crypto, initial

SEGMENT = 1448
MACS = bytes.fromhex("020000000001020000000002")
ACK, PUSH, SYN, FIN = 16, 8, 2, 1
AT_ONCE = 40


@dataclass
class Traffic:
    """Frames in the order in which they are sent, and the names that were asked for, by the kind of their observation."""

    frames: list[bytes] = field(default_factory=list)
    planted: dict[str, set[str]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write a pcap file, a microsecond from frame to frame."""
        with path.open("wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1))
            for nth, frame in enumerate(self.frames):
                file.write(struct.pack("<IIII", 1_700_000_000 + nth // 1_000_000, nth % 1_000_000, len(frame), len(frame)))
                file.write(frame)


class Client:
    """One client and one server."""

    def __init__(self, number: int, pick: random.Random) -> None:
        self.pick = pick
        self.number = number
        self.ends = (bytes([10, 1, number >> 8 & 255, number & 255]), bytes([203, 0, 113, 1 + number % 250]))
        self.port = 32768 + number % 28000
        self.tag = b"\x81\x00\x00\x2a" if number % 5 == 0 else b""

    def frame(self, back: bool, protocol: int, transport: bytes) -> bytes:
        """Return an Ethernet frame from the client, or *back* to it; a fifth of the clients live in a VLAN."""
        source, destination = self.ends[back], self.ends[not back]
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(transport), 0, 0x4000, 64, protocol, 0)
        return MACS + self.tag + b"\x08\0" + head + source + destination + transport

    def segment(self, back: bool, port: int, sequences: list[int], flags: int, payload: bytes = b"") -> bytes:
        """Return a TCP segment, and count what it sends."""
        ports = struct.pack(">HH", *((port, self.port) if back else (self.port, port)))
        here, there = sequences[back] & 0xFFFFFFFF, sequences[not back] & 0xFFFFFFFF
        sequences[back] += len(payload) + bool(flags & (SYN | FIN))
        return self.frame(back, 6, ports + struct.pack(">IIBBHHH", here, there, 0x50, flags, 65535, 0, 0) + payload)

    def datagram(self, back: bool, port: int, payload: bytes) -> bytes:
        """Return a UDP datagram."""
        ports = struct.pack(">HH", *((port, self.port) if back else (self.port, port)))
        return self.frame(back, 17, ports + struct.pack(">HH", 8 + len(payload), 0) + payload)

    def dns(self, name: str) -> Iterator[bytes]:
        """Yield a query and its answer."""
        asked = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\x01\0\x01"
        number = struct.pack(">H", self.number & 0xFFFF)
        yield self.datagram(False, 53, number + b"\x01\0\0\x01\0\0\0\0\0\0" + asked)
        answer = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04" + self.ends[1]
        yield self.datagram(True, 53, number + b"\x81\x80\0\x01\0\x01\0\0\0\0" + asked + answer)

    def tcp(self, port: int, first: bytes, answer: bytes, down: int, bulk: bytes) -> Iterator[bytes]:
        """Yield a connection: the client says *first*, in as many segments as it takes, and the server sends *down* bytes."""
        sequences = [self.pick.getrandbits(32), self.pick.getrandbits(32)]
        yield self.segment(False, port, sequences, SYN)
        yield self.segment(True, port, sequences, SYN | ACK)
        yield self.segment(False, port, sequences, ACK)
        for at in range(0, len(first), SEGMENT):
            yield self.segment(False, port, sequences, ACK | PUSH, first[at : at + SEGMENT])
        yield self.segment(True, port, sequences, ACK | PUSH, answer)
        for nth, at in enumerate(range(0, down, SEGMENT)):
            yield self.segment(True, port, sequences, ACK, bulk[at % 500_000 : at % 500_000 + SEGMENT])
            if nth & 1:
                yield self.segment(False, port, sequences, ACK)
            if nth % 40 == 39:
                yield self.segment(False, port, sequences, ACK | PUSH, b"\x17\x03\x03\x01\x00" + bulk[:256])
        yield self.segment(False, port, sequences, FIN | ACK)
        yield self.segment(True, port, sequences, FIN | ACK)

    def quic(self, name: bytes, down: int, bulk: bytes) -> Iterator[bytes]:
        """Yield a QUIC connection whose hello takes two Initials."""
        message = hello(name, pad=1500)
        connection = struct.pack(">Q", self.number | 1 << 60)
        for nth, (begin, end) in enumerate(((0, 1000), (1000, len(message)))):
            yield self.datagram(False, 443, initial(crypto(message, begin, end), number=nth, destination=connection))
        for at in range(0, down, 1200):
            yield self.datagram(True, 443, b"\x40" + bulk[at % 500_000 : at % 500_000 + 1199])
            if at // 1200 % 4 == 3:
                yield self.datagram(False, 443, b"\x41" + bulk[:30])


def mixed(connections: int, *, down: int, seed: int = 1) -> Traffic:
    """Return the traffic of so many connections, each with a download of *down* bytes; every tenth is a known access."""
    pick = random.Random(seed)
    bulk = b"".join(b"\x17\x03\x03\x40\x11" + pick.randbytes(16401) for _ in range(32))
    traffic = Traffic(
        planted={"dns_query": set(), "tls_client_hello": set(), "quic_client_hello": set(), "http_request": set()}
    )
    under_way = []
    waiting = [_connection(number, pick, bulk, down, traffic) for number in range(connections)]
    while waiting or under_way:
        while waiting and len(under_way) < AT_ONCE:
            under_way.append(waiting.pop())
        turn = pick.randrange(len(under_way))
        for _ in range(pick.randrange(1, 8)):
            frame = next(under_way[turn], None)
            if frame is None:
                del under_way[turn]
                break
            traffic.frames.append(frame)
    return traffic


def _connection(number: int, pick: random.Random, bulk: bytes, down: int, traffic: Traffic) -> Iterator[bytes]:
    client = Client(number, pick)
    known = number % 10 == 0
    kind = pick.choice(list(traffic.planted))
    name = f"n{number}.pimeyes.com" if known else f"n{number}.example.net"
    if known:
        traffic.planted[kind].add(name)
    if kind == "dns_query":
        return client.dns(name)
    if kind == "tls_client_hello":
        return client.tcp(443, records(hello(name.encode(), pad=1500)), b"\x16\x03\x03\0\x7a" + bytes(1000), down, bulk)
    if kind == "quic_client_hello":
        return client.quic(name.encode(), down, bulk)
    request = f"GET /search HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()
    return client.tcp(80, request, b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1000), down, bulk)
