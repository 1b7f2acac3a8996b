"""Capture files taken apart as their bytes come in: where each packet lies, many at a time.

pcap (both byte orders, micro- and nanoseconds) and pcapng (several sections and interfaces). Finding the next record needs the
length of the one before; the way is gone in many places at once, and all else is read for a whole buffer with numpy.

References: https://ietf-opsawg-wg.github.io/draft-ietf-opsawg-pcap/draft-ietf-opsawg-pcap.html and
https://ietf-opsawg-wg.github.io/draft-ietf-opsawg-pcap/draft-ietf-opsawg-pcapng.html
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sentinel.packets.capture import LARGEST, ORDERS, PCAP, SECTION, Record
from sentinel.packets.wire import Undecodable

Integers = npt.NDArray[np.int64]

CAPACITY = 8 * 1024 * 1024
SLACK = 256
"""Bytes behind the last one that may be looked at without looking whether they are there."""

KEPT = 16 * 1024 * 1024
"""Bytes of freed memory that are kept for the next buffer."""

LANES, LANE, SEARCHED, FEW = 128, 8192, 1600, 16
"""In how many places a buffer's records are walked at once, how many bytes each should have at least, in how many it looks for
its first header (most packets are smaller), and how few of them are better finished one by one."""

LATEST = np.iinfo(np.int64).max
"""No time lies after this: 2262-04-11. A damaged header may claim one."""

INTERFACE, PACKET, SIMPLE, STATISTICS, ENHANCED = 1, 2, 3, 5, 6


@dataclass(frozen=True, slots=True)
class Records:
    """Some packets, in their order. All of it is valid until the parser is given more bytes.

    `times`: ns since 1970 UTC. `starts`: where each packet begins in `data`. `sizes`: how many bytes of it were captured.
    `lengths`: its length on the wire. `links`: link types, https://www.tcpdump.org/linktypes.html.
    """

    view: memoryview  # of what `data` is, with SLACK bytes behind the last packet
    data: npt.NDArray[np.uint8]
    times: Integers
    links: Integers
    starts: Integers
    sizes: Integers
    lengths: Integers

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[Record]:
        return map(self.taker(np.arange(len(self.starts))), range(len(self.starts)))

    def taker(self, which: Integers) -> Callable[[int], Record]:
        """Return a function that returns the nth of the packets *which*."""
        view = self.view
        columns = (self.times, self.links, self.starts, self.sizes, self.lengths)
        times, links, starts, sizes, lengths = (column[which].tolist() for column in columns)

        def take(n: int) -> Record:
            start = starts[n]
            return times[n], links[n], view[start : start + sizes[n]], lengths[n]

        return take


@dataclass(slots=True)
class _Interface:
    link: int
    snaplen: int
    ticks: int = 1_000_000  # a second
    offset: int = 0  # seconds


@dataclass(slots=True)
class CaptureParser:
    """Takes a capture's bytes in pieces of any size and gives out its packets.

    `fed` says how many bytes came in, `offset` how far whole records were read, `dropped` how many packets the writer itself
    says it lost, `untimed` how many came without a time of their own (simple packet blocks) and got that of the packet before.
    """

    fed: int = 0
    offset: int = 0
    dropped: int = 0
    untimed: int = 0
    _buffer: bytearray = field(default_factory=lambda: bytearray(CAPACITY + SLACK))
    _at: int = 0  # of what was not given out yet
    _end: int = 0
    _stopped: bool = False
    _order: str = ""
    _ng: bool = False
    _unit: int = 1
    _link: int = 0
    _time: int = 0
    _interfaces: list[_Interface] = field(default_factory=list)
    _drops: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Have the C library keep the memory of short-lived arrays.

        Giving it back and asking for it again for every buffer took half of the time. glibc raises its threshold for that to
        what it is once given back in one piece (mallopt(3), M_MMAP_THRESHOLD); elsewhere this does nothing.
        """
        np.empty(KEPT, np.uint8)

    def room(self) -> memoryview:
        """Return where the capture's next bytes are to be put; `take` then is told how many they are."""
        rest = self._end - self._at
        if self._at:
            self._buffer[:rest] = self._buffer[self._at : self._end]
        elif rest > len(self._buffer) - SLACK - CAPACITY // 2:  # a record longer than the buffer
            grown = bytearray(2 * len(self._buffer))
            grown[:rest] = self._buffer[:rest]
            self._buffer = grown
        self._at, self._end = 0, rest
        return memoryview(self._buffer)[rest : len(self._buffer) - SLACK]

    def take(self, count: int) -> Iterator[Records]:
        """Yield the packets that are complete with the *count* bytes that were put into `room`.

        Raises:
            Undecodable: This is no capture, or damaged from `offset` on. What came before was yielded.
        """
        self.fed += count
        if self._stopped:
            return
        self._end += count
        if not self._order:
            if self._end < 24:
                return
            self._begin()
        yield from self._blocks() if self._ng else self._records()

    def feed(self, chunk: bytes) -> Iterator[Records]:
        """Yield the packets that are complete with *chunk*; each lot is to be taken before the next is asked for.

        Raises:
            Undecodable: As `take`.
        """
        view = memoryview(chunk)
        while view:
            room = self.room()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            del room
            yield from self.take(count)
            view = view[count:]

    def stop(self) -> None:
        """Read no more: the rest is damaged, and that was told already."""
        self._stopped = True
        self._at = self._end = 0

    def finish(self) -> str | None:
        """Say what is wrong with the end of the file: None when it ends with a whole record."""
        if self._stopped:
            return None
        rest = self._end - self._at
        if not self._order:
            return f"no capture: {rest} bytes only"
        return f"the last record is cut: {rest} bytes left over" if rest else None

    def _begin(self) -> None:
        head = bytes(self._buffer[:24])
        if head[:4] == SECTION and head[8:12] in ORDERS:
            self._ng, self._order = True, ORDERS[head[8:12]]
            return
        if head[:4] not in PCAP:
            raise Undecodable("neither pcap nor pcapng")
        self._order, self._unit = PCAP[head[:4]]
        self._link = struct.unpack_from(self._order + "I", head, 20)[0] & 0xFFFF
        self._passed(24)

    def _passed(self, at: int) -> None:
        self.offset += at - self._at
        self._at = at

    def _fields(self, kind: list[tuple[str, str]], at: Integers) -> npt.NDArray[np.void]:
        """Return the fields *kind* at each of the offsets *at*."""
        shape = np.dtype([(name, self._order + code) for name, code in kind])
        # Fields taken one by one would be twenty times slower than the bytes they lie in, taken at once.
        every = np.ndarray((len(self._buffer) - shape.itemsize,), f"V{shape.itemsize}", self._buffer, strides=(1,))
        return every[at].view(shape)

    def _some(self, times: Integers, links: Integers, starts: Integers, sizes: Any, lengths: Any) -> Records:
        view = memoryview(self._buffer)
        return Records(
            view, np.frombuffer(view, np.uint8), times, links, starts, sizes.astype(np.int64), lengths.astype(np.int64)
        )

    def _records(self) -> Iterator[Records]:
        headers, at = _pcap_headers(self._buffer, self._at, self._end, self._order)
        damaged = None
        if at > self._end:
            at, headers = int(headers[-1]), headers[:-1]
            captured = struct.unpack_from(self._order + "I", self._buffer, at + 8)[0]
            damaged = f"a packet of {captured} bytes" if captured > LARGEST else None
        if len(headers):
            found = self._fields([("seconds", "u4"), ("fraction", "u4"), ("captured", "u4"), ("length", "u4")], headers)
            times = found["seconds"].astype(np.int64) * 1_000_000_000 + found["fraction"].astype(np.int64) * self._unit
            links = np.full(len(headers), self._link, np.int64)
            self._passed(at)
            yield self._some(times, links, headers + 16, found["captured"], found["length"])
        if damaged:
            self.stop()
            raise Undecodable(damaged)

    def _blocks(self) -> Iterator[Records]:
        """Yield the packets of the whole blocks that have come in, those of several sections one after the other."""
        damaged: str | None = None
        while damaged is None:
            if self._buffer[self._at : self._at + 4] == SECTION and self._end - self._at >= 12:
                magic = bytes(self._buffer[self._at + 8 : self._at + 12])
                if magic not in ORDERS:
                    damaged = "a section of unknown byte order"
                    break
                self._order = ORDERS[magic]
            blocks, at, damaged = _block_headers(self._buffer, self._at, self._end, self._order)
            if not blocks:
                break
            yield from self._section(np.frombuffer(blocks, np.int64), at)
        if damaged:
            self.stop()
            raise Undecodable(damaged)

    def _section(self, blocks: Integers, end: int) -> Iterator[Records]:
        """Yield the packets of blocks up to the next section, or up to the first that does not come apart."""
        found = self._fields([("kind", "u4"), ("length", "u4")], blocks)
        kinds = found["kind"].astype(np.int64)
        sections = np.flatnonzero(kinds[1:] == int.from_bytes(SECTION, "big"))
        if len(sections):  # may have another byte order: what was read behind it is not believed
            end = int(blocks[sections[0] + 1])
            blocks, kinds = blocks[: sections[0] + 1], kinds[: sections[0] + 1]
        parts: list[Records] = []
        damaged: int | None = None
        at = 0
        others = [*np.flatnonzero(kinds != ENHANCED).tolist(), len(blocks)]
        lengths = found["length"].astype(np.int64)
        for other in others:
            if other > at:
                some, damaged = self._enhanced(blocks[at:other], lengths[at:other])
                parts += [some] if len(some) else []
                if damaged is not None:
                    damaged += at
                    break
            if other < len(blocks):
                try:
                    parts += self._other(int(kinds[other]), int(blocks[other]), int(lengths[other]))
                except (struct.error, IndexError, OverflowError):
                    damaged = other
                    break
            at = other + 1
        self._passed(end if damaged is None else int(blocks[damaged]))
        if parts:
            yield parts[0] if len(parts) == 1 else _joined(parts)
        if damaged is not None:
            self.stop()
            raise Undecodable(f"a block of kind {kinds[damaged]} is too short")

    def _enhanced(self, blocks: Integers, lengths: Integers) -> tuple[Records, int | None]:
        """Return the packets of enhanced packet blocks, and which of them does not come apart."""
        fields = [("interface", "u4"), ("high", "u4"), ("low", "u4"), ("captured", "u4"), ("length", "u4")]
        found = self._fields(fields, blocks + 8)
        interface = found["interface"].astype(np.int64)
        bad = np.flatnonzero((found["captured"] > lengths - 32) | (interface >= len(self._interfaces)))
        damaged = int(bad[0]) if len(bad) else None
        found, interface, blocks = found[:damaged], interface[:damaged], blocks[:damaged]
        links = np.array([one.link for one in self._interfaces] or [0], np.int64)[interface]
        ticks = found["high"].astype(np.uint64) << np.uint64(32) | found["low"].astype(np.uint64)
        times = np.empty(len(ticks), np.int64)
        for number in set(interface.tolist()):
            of_it = interface == number
            times[of_it] = _nanoseconds(ticks[of_it], self._interfaces[number])
        if len(times):
            self._time = int(times[-1])
        return self._some(times, links, blocks + 28, found["captured"], found["length"]), damaged

    def _other(self, kind: int, block: int, length: int) -> list[Records]:
        """Read a block of another kind; one that holds a packet gives it."""
        body = memoryview(self._buffer)[block + 8 : block + length - 4]
        order = self._order
        if kind == int.from_bytes(SECTION, "big"):
            self._interfaces, self._drops = [], {}
        elif kind == PACKET:
            interface, high, low, captured, original = struct.unpack_from(order + "HxxIIII", body)
            if captured > len(body) - 20:
                raise IndexError
            on = self._interfaces[interface]
            self._time = int(_nanoseconds(np.array([high << 32 | low], np.uint64), on)[0])
            return [self._one(on.link, block + 28, captured, original)]
        elif kind == SIMPLE:
            original = struct.unpack_from(order + "I", body)[0]
            first = self._interfaces[0]
            self.untimed += 1
            return [self._one(first.link, block + 12, min(original, first.snaplen or original, len(body) - 4), original)]
        elif kind == INTERFACE:
            self._interface(body)
        elif kind == STATISTICS:
            self._statistics(body)
        return []

    def _one(self, link: int, start: int, captured: int, original: int) -> Records:
        return self._some(*(np.array([value], np.int64) for value in (self._time, link, start, captured, original)))

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


def _pcap_headers(data: bytearray, at: int, end: int, order: str) -> tuple[Integers, int]:
    """Return where the record headers between *at* and *end* lie, and where the record after the last one would begin."""
    found, at = _in_step(data, at, end, order) if end - at >= LANES * LANE else (np.zeros(0, np.int64), at)
    rest, at = _one_by_one(data, at, end - 15, order)
    return np.concatenate([found, rest]), at


def _in_step(data: bytearray, at: int, end: int, order: str) -> tuple[Integers, int]:
    """Return the first record headers between *at* and *end*, and where the next one lies; all of them, as a rule.

    The way from header to header is gone in many places at once. Each begins where something looks like a header, and what it
    finds counts only if the way from before leads exactly there.
    """
    lanes = np.concatenate([[at], _headers_at(np.frombuffer(data, np.uint8), at, end, order)])
    limits = np.append(lanes[1:], end - 15)
    captured = np.ndarray((len(data) - 12,), order + "u4", data, 8, (1,))  # of a record that would begin at each place
    landed, here, which, goals = lanes.copy(), lanes, np.arange(len(lanes)), limits
    found = []
    while len(here) >= FEW:
        found.append(here)
        here = here + captured[here] + 16
        inside = here < goals
        if not inside.all():
            landed[which[~inside]] = here[~inside]
            here, which, goals = here[inside], which[inside], goals[inside]
    for lane, start in zip(which.tolist(), here.tolist(), strict=True):
        rest, landed[lane] = _one_by_one(data, start, int(limits[lane]), order)
        found.append(rest)
    headers = np.sort(np.concatenate(found))
    astray = np.flatnonzero(landed[:-1] != lanes[1:])
    if len(astray):
        return headers[headers < lanes[astray[0] + 1]], int(landed[astray[0]])
    return headers, int(landed[-1])


def _one_by_one(data: bytearray, at: int, limit: int, order: str) -> tuple[Integers, int]:
    """Return the record headers from *at* to before *limit*, and where the next one lies."""
    length = struct.Struct(order + "I").unpack_from
    found = array("q")
    add = found.append
    while at < limit:
        add(at)
        at += 16 + length(data, at + 8)[0]
    return np.frombuffer(found, np.int64), at


def _headers_at(data: npt.NDArray[np.uint8], at: int, end: int, order: str) -> Integers:
    """Return where, at regular distances between *at* and *end*, the next thing lies that looks like a record header.

    It has the upper half of the seconds of the record at *at*, and a length below 64 KiB.
    """
    seconds, zeros = ((2, 3), (10, 11)) if order == "<" else ((0, 1), (8, 9))
    step = (end - at) // LANES
    count = (end - at - SEARCHED - 16) // step
    windows = np.lib.stride_tricks.as_strided(data[at + step :], (count, SEARCHED + 16), (step, 1), writeable=False)
    alike = np.ones((count, SEARCHED), np.bool_)
    for place, value in [*((place, data[at + place]) for place in seconds), *((place, 0) for place in zeros)]:
        alike &= windows[:, place : place + SEARCHED] == value
    first = alike.argmax(axis=1)
    there = alike[np.arange(count), first]
    found: Integers = (at + step * np.arange(1, count + 1) + first)[there]
    return found


def _block_headers(data: bytearray, at: int, end: int, order: str) -> tuple[array[int], int, str | None]:
    """Return where the whole blocks between *at* and *end* lie, where the last one ends, and what is wrong with the next."""
    length = struct.Struct(order + "I").unpack_from
    last = end - 12
    found = array("q")
    add = found.append
    while at <= last:
        size = length(data, at + 4)[0]
        if size < 12 or size & 3 or size > LARGEST:
            # A section of the other byte order begins anew; its length is read once that is known.
            fresh = bool(found) and data[at : at + 4] == SECTION
            return found, at, None if fresh else f"a block of {size} bytes"
        if at + size > end:
            break
        add(at)
        at += size
    return found, at, None


def _nanoseconds(ticks: npt.NDArray[np.uint64], interface: _Interface) -> Integers:
    """Return an interface's times in ns since 1970 UTC, none of them after `LATEST` nor before 1970."""
    per_second, offset = interface.ticks, interface.offset * 1_000_000_000
    if 1_000_000_000 % per_second == 0 and not offset:
        unit = 1_000_000_000 // per_second
        return np.minimum(ticks, np.uint64(LATEST // unit)).astype(np.int64) * unit
    exact = (offset + tick * 1_000_000_000 // per_second for tick in ticks.tolist())
    return np.array([min(max(0, time), LATEST) for time in exact], np.int64)


def _joined(parts: list[Records]) -> Records:
    columns = ("times", "links", "starts", "sizes", "lengths")
    return Records(parts[0].view, parts[0].data, *(np.concatenate([getattr(part, name) for part in parts]) for name in columns))
