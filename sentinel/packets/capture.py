"""Capture files: pcap (both byte orders, micro- and nanoseconds) and pcapng, taken apart as their bytes come in.

References: https://ietf-opsawg-wg.github.io/draft-ietf-opsawg-pcap/draft-ietf-opsawg-pcap.html and
https://ietf-opsawg-wg.github.io/draft-ietf-opsawg-pcap/draft-ietf-opsawg-pcapng.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from sentinel.packets.wire import Undecodable

Record = tuple[int, int, memoryview, int]
"""Time in ns since 1970 UTC, link type, the captured bytes, the length the packet had on the wire."""

PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
SECTION = b"\x0a\x0d\x0d\x0a"
ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
LARGEST = 16 * 1024 * 1024
"""No packet or block is longer. A larger length means a damaged file; believing it would make us wait for gigabytes."""


def is_capture(head: bytes) -> bool:
    """Return whether a file that begins with *head* (12 bytes or more) is a capture."""
    return head[:4] in PCAP or (head[:4] == SECTION and head[8:12] in ORDERS)


@dataclass(slots=True)
class _Interface:
    link: int
    snaplen: int
    ticks: int = 1_000_000  # a second
    offset: int = 0  # seconds


@dataclass(slots=True)
class CaptureParser:
    """Takes a capture's bytes in pieces of any size and gives out its packets.

    A packet's bytes are valid until the next `feed`. `offset` says how far whole records were read, `dropped` how many packets
    the writer itself says it lost, `untimed` how many came without a time of their own (simple packet blocks) and got that of
    the packet before.
    """

    offset: int = 0
    dropped: int = 0
    untimed: int = 0
    _rest: bytes = b""
    _stopped: bool = False
    _order: str = ""
    _ng: bool = False
    _unit: int = 1
    _link: int = 0
    _time: int = 0
    _interfaces: list[_Interface] = field(default_factory=list)
    _drops: dict[int, int] = field(default_factory=dict)

    def feed(self, chunk: bytes) -> Iterator[Record]:
        """Return the packets that are complete with *chunk*; all are to be taken before more is fed.

        Raises:
            Undecodable: This is no capture, or damaged from `offset` on.
        """
        if self._stopped:
            return iter(())
        data = self._rest + chunk if self._rest else chunk
        self._rest = data
        if not self._order:
            if len(data) < 24:
                return iter(())
            data = data[self._begin(data) :]
            self._rest = data
        return self._blocks(data) if self._ng else self._records(data)

    def stop(self) -> None:
        """Read no more: the rest is damaged, and that was told already."""
        self._stopped = True
        self._rest = b""

    def finish(self) -> str | None:
        """Say what is wrong with the end of the file: None when it ends with a whole record."""
        if self._stopped:
            return None
        if not self._order:
            return f"no capture: {len(self._rest)} bytes only"
        return f"the last record is cut: {len(self._rest)} bytes left over" if self._rest else None

    def _begin(self, data: bytes) -> int:
        if data[:4] == SECTION and data[8:12] in ORDERS:
            self._ng, self._order = True, ORDERS[data[8:12]]
            return 0
        if data[:4] not in PCAP:
            raise Undecodable("neither pcap nor pcapng")
        self._order, self._unit = PCAP[data[:4]]
        self._link = struct.unpack_from(self._order + "I", data, 20)[0] & 0xFFFF
        self.offset = 24
        return 24

    def _records(self, data: bytes) -> Iterator[Record]:
        header = struct.Struct(self._order + "IIII").unpack_from
        view, link, unit, base = memoryview(data), self._link, self._unit, self.offset
        at, size = 0, len(data)
        last = size - 16
        while at <= last:
            seconds, fraction, captured, original = header(data, at)
            end = at + 16 + captured
            if end > size:
                if captured > LARGEST:
                    self.offset, self._rest = base + at, b""
                    raise Undecodable(f"a packet of {captured} bytes")
                break
            yield seconds * 1_000_000_000 + fraction * unit, link, view[at + 16 : end], original
            at = end
        self.offset, self._rest = base + at, data[at:]

    def _blocks(self, data: bytes) -> Iterator[Record]:
        view, base, at = memoryview(data), self.offset, 0
        while len(data) - at >= 12:
            if data[at : at + 4] == SECTION:
                self._section(data[at + 8 : at + 12])
            kind, length = struct.unpack_from(self._order + "II", data, at)
            if length < 12 or length & 3 or length > LARGEST:
                self.offset, self._rest = base + at, b""
                raise Undecodable(f"a block of {length} bytes")
            if at + length > len(data):
                break
            try:
                record = self._block(kind, view[at + 8 : at + length - 4])
            except (struct.error, IndexError, OverflowError) as error:
                self.offset, self._rest = base + at, b""
                raise Undecodable(f"a block of kind {kind} is too short") from error
            if record is not None:
                yield record
            at += length
        self.offset, self._rest = base + at, data[at:]

    def _section(self, magic: bytes) -> None:
        if magic not in ORDERS:
            raise Undecodable("a section of unknown byte order")
        self._order = ORDERS[magic]
        self._interfaces = []
        self._drops = {}

    def _block(self, kind: int, body: memoryview) -> Record | None:
        order = self._order
        if kind == 6:
            interface, high, low, captured, original = struct.unpack_from(order + "IIIII", body)
            return self._packet(interface, high << 32 | low, body[20:], captured, original)
        if kind == 2:
            interface, high, low, captured, original = struct.unpack_from(order + "HxxIIII", body)
            return self._packet(interface, high << 32 | low, body[20:], captured, original)
        if kind == 3:
            original = struct.unpack_from(order + "I", body)[0]
            first = self._interfaces[0]
            self.untimed += 1
            captured = min(original, first.snaplen or original, len(body) - 4)
            return self._time, first.link, body[4 : 4 + captured], original
        if kind == 1:
            self._interface(body)
        elif kind == 5:
            self._statistics(body)
        return None

    def _packet(self, interface: int, ticks: int, body: memoryview, captured: int, original: int) -> Record:
        if captured > len(body):
            raise IndexError
        on = self._interfaces[interface]
        self._time = on.offset * 1_000_000_000 + ticks * 1_000_000_000 // on.ticks
        return self._time, on.link, body[:captured], original

    def _interface(self, body: memoryview) -> None:
        link, snaplen = struct.unpack_from(self._order + "HxxI", body)
        found = _Interface(link, snaplen)
        for code, value in self._options(body[8:]):
            if code == 9 and len(value) >= 1:  # if_tsresol
                power = value[0] & 0x7F
                found.ticks = 1 << power if value[0] & 0x80 else int(10 ** min(power, 30))
            elif code == 14 and len(value) >= 8:  # if_tsoffset
                found.offset = struct.unpack_from(self._order + "q", value)[0]
        self._interfaces.append(found)

    def _statistics(self, body: memoryview) -> None:
        """Read how many packets the kernel dropped. The counts go up from the start of the capture."""
        interface = struct.unpack_from(self._order + "I", body)[0]
        for code, value in self._options(body[12:]):
            if code in (5, 7) and len(value) >= 8:  # isb_ifdrop, isb_osdrop
                count = struct.unpack_from(self._order + "Q", value)[0]
                key = interface << 8 | code
                self.dropped += max(0, count - self._drops.get(key, 0))
                self._drops[key] = count

    def _options(self, body: memoryview) -> Iterator[tuple[int, memoryview]]:
        at = 0
        while len(body) - at >= 4:
            code, length = struct.unpack_from(self._order + "HH", body, at)
            if code == 0:
                return
            yield code, body[at + 4 : at + 4 + length]
            at += 4 + (length + 3 & ~3)
