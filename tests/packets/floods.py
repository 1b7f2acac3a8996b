#!/usr/bin/env python3
"""Packets made to exhaust a monitor's memory, and what the decoder's process grows to under them.

    .venv/bin/python tests/packets/floods.py 1000000

Each flood sends that many packets from as many clients into one decoder, one flood after the other. Prints the peak in MB of
the whole process, interpreter and imports included.
"""

from __future__ import annotations

import re
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # when run as a program

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP

from sentinel.packets.decoder import Decoder
from tests.packets.made_packets import ETHER, T0, datagram, hello, records, segment, syn
from tests.packets.test_packets_quic import crypto, initial

CLIENT_AT, SERVER_AT, SEQUENCE_AT = 26, 30, 38
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


FLOODS = (half_open, beginnings, scattered, complete, fragments, answers)


def peak() -> int:
    """Return the most memory in MB that was resident. `getrusage` would begin with that of the process that started this."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) // 1024


def main() -> None:
    """Send them all and tell the peak."""
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
