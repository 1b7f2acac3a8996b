"""The relay: two tun devices, one in each namespace, and what a bad path does to packets between them.

Run as a program of its own, with its settings as JSON. The kernel hands a tun device whole packets with their checksums, so
that what arrives on the other side is what a capture on a real path would show.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
LATE_SECS = (0.002, 0.02)
HEADER = struct.Struct(">BBHHHBBH4s4s")


def tun(pid: int, name: str) -> int:
    """Return a tun device *name* in the network namespace of the process *pid*."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(namespace)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def fragments(packet: bytes, largest: int) -> list[bytes]:
    """Cut an IPv4 packet as a router would, without asking whether it may."""
    if packet[0] != 0x45 or len(packet) <= largest:
        return [packet]
    version, tos, _length, number, flags, ttl, protocol, _sum, source, destination = HEADER.unpack_from(packet)
    number = number or random.randrange(1, 65536)  # Linux sends 0 with "don't fragment"
    size = (largest - 20) // 8 * 8
    pieces = []
    for at in range(20, len(packet), size):
        data = packet[at : at + size]
        more = 0x2000 if at + size < len(packet) else 0
        word = (flags & 0x1FFF) + (at - 20) // 8 | more | flags & 0x2000
        head = HEADER.pack(version, tos, 20 + len(data), number, word, ttl, protocol, 0, source, destination)
        total = sum(struct.unpack(">10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        pieces.append(head[:10] + checksum.to_bytes(2, "big") + head[12:] + data)
    return pieces


def main() -> None:
    """Carry packets both ways until killed."""
    settings = json.loads(sys.argv[1])
    chance = random.Random(settings["seed"])
    desk, town = tun(settings["desk"], settings["interface"]), tun(settings["town"], settings["interface"])
    across = {desk: town, town: desk}
    waiting: list[tuple[float, int, int, bytes]] = []
    count = 0
    os.write(1, b"ready\n")
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([desk, town], [], [], timeout)
        for device in readable:
            try:
                packet = os.read(device, 65536)
            except (BlockingIOError, OSError):
                continue
            for piece in fragments(packet, settings["largest"] or 65536):
                if chance.random() < settings["lost"]:
                    continue
                for _ in range(1 + (chance.random() < settings["twice"])):
                    delay = chance.uniform(*LATE_SECS) if chance.random() < settings["late"] else 0.0
                    count += 1
                    heapq.heappush(waiting, (time.monotonic() + delay, count, across[device], piece))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, device, packet = heapq.heappop(waiting)
            try:
                os.write(device, packet)
            except OSError:  # the other end is not up yet
                continue


if __name__ == "__main__":
    main()
