#!/usr/bin/env python3
"""Packets made to exhaust a monitor's memory, and what the decoder's process grows to under them.

    .venv/bin/python tests/packets/floods.py 1000000
    .venv/bin/python tests/packets/floods.py 1000000 capture

Each flood sends that many packets from as many clients into one decoder, one flood after the other; `capture` sends half-open
hellos and half QUIC hellos of as many clients, mixed, in one capture that is read as a replay reads it. Prints the peak in MB
of the whole process, interpreter and imports included.
"""

from __future__ import annotations

import re
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # when run as a program

import numpy as np
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP

from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.records import CaptureParser
from sentinel.packets.sieve_intake import Intake
from tests.packets.made_packets import ETHER, T0, datagram, hello, records, segment, syn
from tests.packets.test_packets_quic import crypto, initial

CLIENT_AT, SERVER_AT, SEQUENCE_AT = 26, 30, 38
PIECE = 2000  # clients
GAP = 1000  # ns between packets: a million in a second


def half_open(count: int) -> Iterator[bytes]:
    """Yield a SYN and the first segment of a hello that never ends, from each of *count* clients."""
    opening, start = bytearray(bytes(syn())), bytearray(bytes(segment(records(hello(pad=1800))[:1400])))
    for number in range(count):
        for frame in (opening, start):
            struct.pack_into(">I", frame, CLIENT_AT, 0x0A000000 + number)
            yield bytes(frame)


def beginnings(count: int) -> Iterator[bytes]:
    """Yield an Initial that holds the first half of a hello, from each of *count* clients."""
    frame = bytearray(bytes(datagram(initial(crypto(hello(pad=3000), 0, 1100)), dport=443)))
    for number in range(count):
        struct.pack_into(">I", frame, CLIENT_AT, 0x0A000000 + number)
        yield bytes(frame)


def scattered(count: int) -> Iterator[bytes]:
    """Yield *count* segments of one byte each that lie far apart, a few hundred for each client."""
    opening, piece = bytearray(bytes(syn())), bytearray(bytes(segment(b"x")))
    for number in range(count):
        client, nth = divmod(number, 250)
        frame = piece if nth else opening
        struct.pack_into(">I", frame, CLIENT_AT, 0x0A000000 + client)
        struct.pack_into(">I", frame, SEQUENCE_AT, 1000 + nth * 4000)
        yield bytes(frame)


def complete(count: int) -> Iterator[bytes]:
    """Yield a whole hello from each of *count* clients: what is remembered of them must end too."""
    frame = bytearray(bytes(segment(records(hello()))))
    for number in range(count):
        struct.pack_into(">I", frame, CLIENT_AT, 0x0A000000 + number)
        yield bytes(frame)


def fragments(count: int) -> Iterator[bytes]:
    """Yield the first fragments of *count* datagrams."""
    frame = bytearray(bytes(datagram(bytes(1400))))
    frame[20] = 0x20  # more follow
    for number in range(count):
        struct.pack_into(">I", frame, CLIENT_AT, 0x0A000000 + number)
        yield bytes(frame)


def answers(count: int) -> Iterator[bytes]:
    """Yield DNS answers to *count* clients, each with a name of its own."""
    name = "x" * 8 + "." + ".".join(["y" * 60] * 3) + ".example"
    reply = DNS(qr=1, qd=DNSQR(qname=name), an=DNSRR(rrname=name, rdata="198.51.100.1", ttl=86_400))
    frame = bytearray(bytes(ETHER / IP(src="192.0.2.53", dst="10.0.0.1") / UDP(sport=53, dport=4000) / reply))
    places = [at for at in range(len(frame)) if frame.startswith(b"xxxxxxxx", at)]
    for number in range(count):
        struct.pack_into(">I", frame, SERVER_AT, 0x0A000000 + number)
        for at in places:
            frame[at : at + 8] = b"%08d" % number
        yield bytes(frame)


def capture(count: int) -> Iterator[bytes]:
    """Yield a pcap, piece by piece: of *count* clients a SYN, the start of a hello that never ends, and half a QUIC hello."""
    yield struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1)
    frames = [next(half_open(1)), [*half_open(1)][1][:400], next(beginnings(1))]
    places, one = [], b""
    for frame in frames:
        wire = struct.pack("<II", len(frame), len(frame))
        places.append((len(one), len(one) + 16 + CLIENT_AT))
        one += bytes(8) + wire + frame[:16] + struct.pack(">H", len(frame) - 14) + frame[18:]
    for at in range(0, count, PIECE):
        clients = np.arange(at, min(at + PIECE, count))
        rows = np.tile(np.frombuffer(one, np.uint8), (len(clients), 1))
        for time_at, client_at in places:
            rows[:, time_at : time_at + 4] = (1_700_000_000 + clients // 50_000).astype("<u4")[:, None].view(np.uint8)
            rows[:, time_at + 4 : time_at + 8] = (clients % 50_000 * 20).astype("<u4")[:, None].view(np.uint8)
            rows[:, client_at : client_at + 4] = (0x0A000000 + clients).astype(">u4")[:, None].view(np.uint8)
        yield rows.tobytes()


FLOODS = (half_open, beginnings, scattered, complete, fragments, answers)


def peak() -> int:
    """Return the most memory in MB that was resident. `getrusage` would begin with that of the process that started this."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) // 1024


def replay(count: int) -> Decoder:
    """Read the capture of *count* clients, and return the decoder that did."""
    decoder, parser = Decoder(), CaptureParser()
    book = FlowBook(decoder.resolved, lambda seen: seen.name == "pimeyes.com")
    intake = Intake(decoder, book=book)
    for piece in capture(count):
        for lot in parser.feed(piece):
            intake.take(lot)
    assert intake.packets == 3 * count
    book.finish()
    decoder.finish()
    return decoder


def main() -> None:
    """Send them all and tell the peak."""
    if sys.argv[2:] == ["capture"]:
        began = time.process_time()
        decoder = replay(int(sys.argv[1]))
        print(f"{dict(decoder.counters)}, {time.process_time() - began:.0f} s", file=sys.stderr)
        print(peak())
        return
    count, decoder, number = int(sys.argv[1]), Decoder(), 0
    for flood in FLOODS:
        began = time.process_time()
        for frame in flood(count):
            number += 1
            decoder.packet(T0 + number * GAP, 1, memoryview(frame), len(frame), number)
        print(f"{flood.__name__}: {peak()} MB, {time.process_time() - began:.0f} s", file=sys.stderr, flush=True)
    print(peak())


if __name__ == "__main__":
    main()
