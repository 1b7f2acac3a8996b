"""How a capture file is told: pcap (both byte orders, micro- and nanoseconds) or pcapng. `records` takes it apart."""

from __future__ import annotations

Record = tuple[int, int, memoryview, int]
"""Time in ns since 1970 UTC, link type, the captured bytes, the length the packet had on the wire."""

PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
"""The byte order and the unit of a time's fraction, in ns, by the first four bytes."""
SECTION = b"\x0a\x0d\x0d\x0a"
ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
LARGEST = 16 * 1024 * 1024
"""No packet or block is longer. A larger length means a damaged file; believing it would make us wait for gigabytes."""


def is_capture(head: bytes) -> bool:
    """Return whether a file that begins with *head* (12 bytes or more) is a capture."""
    return head[:4] in PCAP or (head[:4] == SECTION and head[8:12] in ORDERS)
