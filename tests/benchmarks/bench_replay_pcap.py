#!/usr/bin/env python3
"""How fast `sentinel replay pcap` is beside tcpdump and tshark, on the same 2 GB captures, on the same core, in the same run.

    .venv/bin/python tests/benchmarks/bench_replay_pcap.py

Prints the table and writes it into docs/performance.md between its markers. The capture is made once, always the same one, in
the folder that SENTINEL_BENCH_DIR names (the system's temporary folder otherwise): mostly bulk TLS, every hello split over two
segments, acknowledgements, DNS, IPv6, QUIC's short headers, and a few accesses to a service. tcpdump does less: it looks for
DNS packets only, which here are few, and keeps no state; that is libpcap's own pace.
"""

from __future__ import annotations

import heapq
import json
import os
import platform
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from measuring import HEAD, Run, folder, into_the_page_cache, median, processor, row, run, sentinel, write

SIZE = 2_000_000_000  # bytes
RUNS = 3
AT_ONCE = 60  # connections that are under way at the same time
ONE_IN = 100  # connections that go to the service
SERVICE = "pimeyes.com"
MIXES = {"long transfers": 15.5, "many connections": 12.5}
SEGMENT = 1448  # bytes of payload in a full segment, which carries time stamps
UPLOAD = 300_000
ACK, PUSH, SYN, FIN = 16, 8, 2, 1

Timed = tuple[int, int, bytes]
"""Microseconds since 1970, the connection's number, the packet."""


def hello(name: str, pick: random.Random) -> bytes:
    """Return a ClientHello in its record, with a key share as large as today's."""
    server = b"\0" + struct.pack(">H", len(name)) + name.encode()
    parts = [(51, pick.randbytes(1250)), (0, struct.pack(">H", len(server)) + server), (43, b"\x02\x03\x04"), (21, bytes(300))]
    extensions = b"".join(struct.pack(">HH", kind, len(body)) + body for kind, body in parts)
    body = b"\x03\x03" + pick.randbytes(32) + b"\0\0\x02\x13\x01\x01\0" + struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


def application_data(size: int, pick: random.Random) -> bytes:
    """Return *size* bytes of TLS records as they are sent in bulk."""
    record = b"\x17\x03\x03" + struct.pack(">H", 16401)
    return b"".join(record + pick.randbytes(16401) for _ in range(size // 16406 + 1))[:size]


class Connection:
    """Packets between one client and one server."""

    def __init__(self, number: int, pick: random.Random) -> None:
        self.pick = pick
        self.wide = pick.random() < 0.15
        client, server = pick.randrange(1, 4000), pick.randrange(1, 200)
        if self.wide:
            self.ends = [bytes.fromhex("20010db8") + end.to_bytes(12, "big") for end in (client, server << 32)]
        else:
            self.ends = [bytes([10, 0]) + client.to_bytes(2, "big"), bytes([203, 0, 113, server])]
        self.ports = [(20000 + number % 40000).to_bytes(2, "big"), b"\x01\xbb"]

    def packet(self, back: bool, protocol: int, transport: bytes) -> bytes:
        """Return a frame from the client, or *back* to it."""
        source, destination = self.ends[back], self.ends[not back]
        if self.wide:
            head = struct.pack(">IHBB", 6 << 28, len(transport), protocol, 64)
            return bytes(12) + b"\x86\xdd" + head + source + destination + transport
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(transport), 0, 0x4000, 64, protocol, 0)
        return bytes(12) + b"\x08\0" + head + source + destination + transport

    def segment(self, back: bool, sequences: list[int], flags: int, payload: bytes = b"") -> bytes:
        """Return a TCP segment, and count what it sends."""
        here, there = sequences[back], sequences[not back]
        head = struct.pack(">IIBBHHH", here & 0xFFFFFFFF, there & 0xFFFFFFFF, 0x80, flags, 500, 0, 0)
        sequences[back] = here + len(payload) + bool(flags & (SYN | FIN))
        options = b"\x01\x01\x08\x0a" + bytes(8)
        return self.packet(back, 6, self.ports[back] + self.ports[not back] + head + options + payload)

    def datagram(self, back: bool, ports: list[bytes], payload: bytes) -> bytes:
        """Return a UDP datagram."""
        return self.packet(back, 17, ports[back] + ports[not back] + struct.pack(">HH", 8 + len(payload), 0) + payload)

    def lookup(self, name: str) -> Iterator[bytes]:
        """Yield a query and its answer."""
        ports = [self.pick.randrange(20000, 60000).to_bytes(2, "big"), b"\0\x35"]
        question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\x01\0\x01"
        number = self.pick.randbytes(2)
        yield self.datagram(False, ports, number + b"\x01\0\0\x01\0\0\0\0\0\0" + question)
        answer = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04" + self.ends[1][-4:]
        yield self.datagram(True, ports, number + b"\x81\x80\0\x01\0\x01\0\0\0\0" + question + answer)

    def tls(self, name: str, up: int, down: int, bulk: bytes) -> Iterator[bytes]:
        """Yield a connection in which the client sends *up* bytes, and the server *down*; an answer to every other segment."""
        sequences = [self.pick.getrandbits(32), self.pick.getrandbits(32)]
        yield self.segment(False, sequences, SYN)
        yield self.segment(True, sequences, SYN | ACK)
        yield self.segment(False, sequences, ACK)
        first = hello(name, self.pick)
        yield self.segment(False, sequences, ACK, first[:SEGMENT])
        yield self.segment(False, sequences, ACK | PUSH, first[SEGMENT:])
        flight = b"\x16\x03\x03\0\x7a" + self.pick.randbytes(122) + b"\x14\x03\x03\0\x01\x01"
        for back, size in ((True, len(flight) + 4000), (False, up), (True, down)):
            begin = self.pick.randrange(len(bulk) // 2)
            for at in range(0, size, SEGMENT):
                start = begin + at % 1_000_000
                payload = bulk[start : start + min(SEGMENT, size - at)] if at or not back else flight
                yield self.segment(back, sequences, ACK, payload)
                if at // SEGMENT & 1:
                    yield self.segment(not back, sequences, ACK)
        yield self.segment(False, sequences, FIN | ACK)
        yield self.segment(True, sequences, FIN | ACK)

    def quic(self, down: int, bulk: bytes) -> Iterator[bytes]:
        """Yield the middle of a QUIC connection."""
        for at in range(0, down, 1200):
            yield self.datagram(True, self.ports, b"\x40" + bulk[at % 1_000_000 : at % 1_000_000 + 1199])
            if at // 1200 % 4 == 3:
                yield self.datagram(False, self.ports, b"\x40" + bulk[:30])


def packets(typical: float) -> Iterator[Timed]:
    """Yield the packets of connections as a mirror port shows them, without end; always the same ones.

    *typical*: the logarithm of what the median connection's server sends, in bytes; the mean is three times that.
    """
    pick = random.Random(1)
    bulk = application_data(3_000_000, pick)
    under_way: list[tuple[int, int, bytes, Iterator[bytes]]] = []
    number, now = 0, 1_700_000_000_000_000
    while True:
        while len(under_way) < AT_ONCE:
            number += 1
            one = Connection(number, pick)
            own = number % ONE_IN == 0
            name = SERVICE if own else f"www{pick.randrange(9000)}.example.net"
            for packet in one.lookup(name):
                yield now, number, packet
            down = min(20_000_000, int(pick.lognormvariate(typical, 1.5)))
            up = UPLOAD if own else pick.randrange(400, 5000)
            stream = one.quic(down, bulk) if not own and pick.random() < 0.1 else one.tls(name, up, down, bulk)
            heapq.heappush(under_way, (now + pick.randrange(2000), number, next(stream, b""), stream))
        now, which, packet, stream = heapq.heappop(under_way)
        if packet:
            yield now, which, packet
            heapq.heappush(under_way, (now + pick.randrange(20, 1000), which, next(stream, b""), stream))


def capture(into: Path, mix: str) -> Path:
    """Return a capture, made if it is not there yet."""
    path = into / f"sentinel-bench-{mix.partition(' ')[0]}.pcap"
    if not path.exists():
        print(f"making {path}", file=sys.stderr)
        partial = path.with_suffix(".partial")
        with partial.open("wb", buffering=1 << 20) as file:
            written = file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
            for time, _number, packet in packets(MIXES[mix]):
                head = struct.pack("<IIII", time // 1_000_000, time % 1_000_000, len(packet), len(packet))
                written += file.write(head) + file.write(packet)
                if written >= SIZE:
                    break
        partial.rename(path)
    return path


def table(mix: str, size: int, ours: Sequence[Run], tcpdump: Sequence[Run], tshark: Sequence[Run]) -> str:
    """Return the results of one capture as Markdown."""
    said = json.loads(ours[0].output)
    read, hellos = said["coverage"]["inputs"][0]["records"], tshark[0].output.count(b"Client Hello")
    found = f"{read:,} packets counted, {len(said['sessions'])} sessions, {len(said['findings'])} findings"
    text = f"**{mix.capitalize()}**: {size / 1e9:.2f} GB, {hellos:,} TLS connections.\n\n{HEAD}"
    text += row("`sentinel replay pcap --json`", size, ours, found)
    text += row("`tcpdump -w /dev/null 'udp port 53'`", size, tcpdump, "keeps no state; libpcap's own pace")
    text += row(f"`tshark -Y '{FILTER}'`", size, tshark, f"{tshark[0].output.count(bytes([10])):,} packets")
    slower, faster = median(ours) / median(tcpdump), median(tshark) / median(ours)
    verdict = f"**{slower:.1f} times** as long as tcpdump, and is **{faster:.0f} times** as fast as tshark"
    return f"{text}\nSentinel takes {verdict}.\n\n"


FILTER = "dns or tls.handshake.type==1"


def measured(mix: str) -> str:
    """Measure one capture."""
    path = capture(folder(), mix)
    into_the_page_cache(path)
    ours, tcpdump = [], []
    for _ in range(RUNS):  # by turns, so that a slow minute of the machine meets both
        ours.append(run([sentinel(), "replay", "pcap", "--json", path]))
        tcpdump.append(run(["tcpdump", "-r", path, "-w", "/dev/null", "udp port 53"]))
    tshark = [run(["tshark", "-n", "-r", path, "-Y", FILTER])]  # once: it takes long
    return table(mix, path.stat().st_size, ours, tcpdump, tshark)


def main() -> None:
    """Measure, print, write."""
    for needed in ("tcpdump", "tshark", "taskset"):
        if shutil.which(needed) is None:
            sys.exit(f"{needed} is not installed")
    version = {
        name: subprocess.run([name, "--version"], capture_output=True, text=True).stdout.split()[2].rstrip(".")
        for name in ("tcpdump", "tshark")
    }
    result = "".join(measured(mix) for mix in MIXES)
    result += (
        f"In the page cache, start-up included; tcpdump {version['tcpdump']}, tshark {version['tshark']}, {processor()}, "
        f"Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}; load of the machine {os.getloadavg()[1]:.1f}.\n"
    )
    print(result)
    write("bench_replay_pcap", result)


if __name__ == "__main__":
    main()
