"""The sieve: of many packets, those that can matter to the decoder. It looks at all of them at once and at each for a moment.

A capture is mostly the middle of bulk transfers. Three ways were tried on one core, with TLS in packets of 1 kB on average.
libpcap with a filter is as fast as tcpdump, but keeps no state: the second segment of a split hello begins with any byte and
cannot be told from bulk, and nothing is known of the packets that it drops. A Python loop that looks at a few fixed offsets of
each packet took three times as long as what is done here: numpy over all headers of a buffer, and a table of flows.

What comes through is a superset of what the decoder can use:

- every packet of a layout that `sieve_headers` does not read: fragments, options, tunnels, all that is neither TCP nor UDP;
- UDP: DNS, QUIC's long headers, and what may be a tunnel;
- TCP: SYN, FIN and RST; DNS; any payload that begins like a hello or request, or is too short to tell; and of each direction of
  a connection the first `GRACE` segments, those behind such a beginning, and all while the decoder says it follows the stream.

So a continuation never needs a mark of its own: it comes through because its stream is young or is being followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sentinel.packets import sieve_headers
from sentinel.packets.capture import Record
from sentinel.packets.connections import BEGINNINGS, SHORT, STARTS
from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_spans import Span, spans
from sentinel.packets.records import Integers, Records
from sentinel.packets.sieve_headers import Flags, Hashes, Headers
from sentinel.packets.tcp import ACK, FIN, RST, SYN

GRACE = 4
"""Segments with payload that come through unasked: a margin beside what the decoder says it follows."""
DONE = -1

TUNNEL_PORTS = (4789, 8472, 4790, 6081, 2152)
"""VXLAN, Linux' own port for it, VXLAN-GPE, Geneve, GTP-U."""

SLOTS = 1 << 16
MOST_SLOTS = 1 << 20

_FIRST = np.zeros(256, np.bool_)
_FIRST[[*STARTS]] = True
_FIRST_TWO = np.zeros(65536, np.bool_)  # the first byte in the low half
_FIRST_TWO[[start[0] | start[1] << 8 for start in BEGINNINGS]] = True


class Table:
    """Directions of connections, each with a number.

    `grace`: segments that each may still send through. `others`: the number of the other direction, -1 where it is not known.
    `tops`: up to which sequence number it was counted, -1 when it was not. `dull`: nobody wants to know how much it sends.

    The table grows to `MOST_SLOTS`; then all are forgotten and met anew, which for a while lets through more than is needed.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._empty(SLOTS)

    def find(self, flows: Hashes) -> Integers:
        """Return each flow's number; one that was not met before gets one. Numbers hold until the next call."""
        if self._used + len(flows) > len(self._keys) // 2:
            self._make_room(len(flows))
        slots, missing = self._probe(flows)
        if len(missing):
            for flow in sorted(set(flows[missing].tolist())):  # np.unique would load masked arrays
                self._add(flow)
            slots[missing] = self._probe(flows[missing])[0]
        return slots

    def place(self, flow: Hashes) -> int | None:
        """Return the number of one flow; None when it was not met."""
        slots, missing = self._probe(flow)
        return None if len(missing) else int(slots[0])

    def _probe(self, flows: Hashes) -> tuple[Integers, Integers]:
        """Return the place of each flow, and which of them have none yet."""
        mask = len(self._keys) - 1
        slots = (flows >> np.uint64(8)).astype(np.int64) & mask
        there = self._keys[slots]
        waiting = np.flatnonzero((there != flows) & (there != 0))
        while len(waiting):
            slots[waiting] = slots[waiting] + 1 & mask
            there = self._keys[slots[waiting]]
            waiting = waiting[(there != flows[waiting]) & (there != 0)]
        return slots, np.flatnonzero(self._keys[slots] == 0)

    def _add(self, flow: int) -> None:
        mask = len(self._keys) - 1
        slot = flow >> 8 & mask
        while self._keys[slot]:
            slot = slot + 1 & mask
        self._keys[slot] = flow
        self._used += 1

    def _make_room(self, count: int) -> None:
        size = len(self._keys)
        while self._used + count > size // 2 and size < MOST_SLOTS:
            size *= 2
        if self._used + count > size // 2:
            self._empty(max(SLOTS, 1 << (4 * count - 1).bit_length()))
            return
        keys, grace, others, tops, dull = self._keys, self.grace, self.others, self.tops, self.dull
        self._empty(size)
        old = np.flatnonzero(keys)
        for flow in keys[old].tolist():
            self._add(flow)
        now = self._probe(keys[old])[0]
        moved = np.full(len(keys) + 1, -1, np.int64)  # the last one stands for what is not known
        moved[old] = now
        self.grace[now], self.tops[now], self.dull[now] = grace[old], tops[old], dull[old]
        self.others[now] = moved[others[old]]

    def _empty(self, size: int) -> None:
        self._keys = np.zeros(size, np.uint64)
        self.grace = np.full(size, GRACE, np.int8)
        self.others = np.full(size, -1, np.int64)
        self.tops = np.full(size, -1, np.int64)
        self.dull = np.zeros(size, np.bool_)
        self._used = 0


@dataclass(slots=True)
class _Chosen:
    """Packets that may come through, in their order: whether they do in any case, the number of their flow, where their IP
    header lies, whether it is version 6, and the number of the other direction's flow where something begins (-1 elsewhere).
    """

    which: Integers
    free: Flags
    slots: Integers
    networks: Integers
    wide: Flags
    backs: Integers

    def rows(self) -> Iterator[tuple[int, bool, int, int, bool, int]]:
        """Yield which packet, and what is known of it."""
        columns = (self.which, self.free, self.slots, self.networks, self.wide, self.backs)
        return zip(*(column.tolist() for column in columns), strict=True)


class Sieve:
    """Keeps what is known of the flows of one capture."""

    def __init__(self, decoder: Decoder, *, seed: int = 0) -> None:
        """Start with no packet seen.

        Args:
            decoder: Who takes what comes through.
            seed: 64 random bits that nobody else knows, so that no two flows can be made to look like one.
        """
        self._seed = seed
        self._flows = Table()
        self._left: dict[int, int] = {}  # segments that each flow may still send through
        self._opening = self._counted = b""
        self._follows = decoder.follows
        self._ports = sieve_headers.port_table([*decoder.whole_ports, *TUNNEL_PORTS])

    def choose(self, records: Records) -> Iterator[tuple[int, Record]]:
        """Yield the packets that the decoder has to see, in their order, each with its place among *records*.

        It is to have seen one before the next is asked for: what it follows by then decides on the next.
        """
        chosen = self._chosen(records, sieve_headers.read(records, self._ports))
        grace, view, follows = self._flows.grace, records.view, self._follows
        self._left = left = {}
        packet = records.taker(chosen.which)
        for place, (index, free, slot, network, wide, back) in enumerate(chosen.rows()):
            if free:
                if back >= 0:  # something begins, here or in the answer to it
                    left[slot] = left[back] = GRACE
                yield index, packet(place)
                continue
            rest = left.get(slot)
            if rest is None:
                rest = int(grace[slot])
            if rest > 0:
                left[slot] = rest - 1
            elif rest == DONE:
                continue
            elif not follows(bytes(view[network + 8 : network + 44] if wide else view[network + 12 : network + 24])):
                left[slot] = DONE
                continue
            yield index, packet(place)
        for slot, rest in left.items():
            grace[slot] = rest

    def ends(self, records: Records, index: int) -> bytes | None:
        """Return source, destination and ports of a packet among those chosen from last; None when it is not counted."""
        headers = self._headers
        if not headers.known[index] or self._flows.dull[self._slots[index]]:
            return None
        network = int(headers.network[index])
        begin, end = (network + 8, network + 44) if headers.wide[index] else (network + 12, network + 24)
        return bytes(records.view[begin:end])

    def counts(self, index: int) -> bool:
        """Return whether `spans` counts a packet among those chosen from last: its layout is read here, and it is no tunnel."""
        return self._counted[index] != 0

    def meets(self, ends: bytes) -> bool:
        """Return whether plain packets of the TCP flow between *ends* were among those chosen from."""
        return self._flows.place(sieve_headers.flow_of(ends, self._seed)) is not None

    def top(self, ends: bytes) -> int | None:
        """Return up to which sequence number that flow was counted; None when it was not."""
        slot = self._flows.place(sieve_headers.flow_of(ends, self._seed))
        top = -1 if slot is None else int(self._flows.tops[slot])
        return None if top < 0 else top

    def reached(self, ends: bytes, top: int) -> None:
        """Take note that it was counted up to a sequence number by somebody else."""
        slot = self._flows.place(sieve_headers.flow_of(ends, self._seed))
        if slot is not None:
            self._flows.tops[slot] = top

    def opens(self, index: int) -> bool:
        """Return whether a packet among those chosen from last opens a connection."""
        return self._opening[index] != 0

    def used(self, begin: int, index: int) -> bool:
        """Return whether the connection of a packet among those chosen from last has sent anything before.

        Before *begin* all was counted; from there to *index* it is looked for.
        """
        slot = int(self._slots[index])
        other = int(self._flows.others[slot])
        if self._flows.tops[slot] >= 0 or (other >= 0 and self._flows.tops[other] >= 0):
            return True
        before = self._slots[begin:index]
        return bool((before == slot).any() or (other >= 0 and (before == other).any()))

    def spans(self, records: Records, begin: int, end: int) -> list[Span]:
        """Return what flows sent in the *records* chosen from last, from *begin* to *end*, but for those that are ignored."""
        headers, slots, some = self._headers, self._slots, slice(begin, end)
        counts = headers.known[some] & ~headers.marked[some] & ~self._flows.dull[slots[some]]
        return spans(records, headers, slots, self._flows.tops, np.flatnonzero(counts) + begin)

    def ignore(self, slot: int) -> None:
        """Count what a connection sends no longer, until it begins anew. *slot*: of a span."""
        self._flows.dull[slot] = True
        other = int(self._flows.others[slot])
        if other >= 0:
            self._flows.dull[other] = True

    def ignore_flow_of(self, index: int) -> None:
        """Do the same for the connection of a packet among those chosen from last, and let through only what is asked for."""
        slot = int(self._slots[index])
        self.ignore(slot)
        self._left[slot] = 0
        other = int(self._flows.others[slot])
        if other >= 0:
            self._left[other] = 0

    def _chosen(self, records: Records, headers: Headers) -> _Chosen:
        known, flags = headers.known, headers.flags
        tcp = known & headers.tcp
        start = sieve_headers.shorts(records.data, headers.body)
        speaks = tcp & (headers.payload > 0)
        begins = speaks & (_FIRST_TWO[start] | ((headers.payload < SHORT) & _FIRST[start & 0xFF]))
        begins |= tcp & (flags & SYN != 0)
        free = ~known | begins | (tcp & (flags & (RST | FIN) != 0)) | (speaks & headers.marked)
        udp = known ^ tcp
        if udp.any():
            free |= udp & (headers.marked | (start & 0xC0 == 0xC0))
        opens = begins
        if udp.any():
            opens = begins | (udp & (start & 0xC0 == 0xC0))
        which, opens = np.flatnonzero(known), np.flatnonzero(opens)
        here = sieve_headers.flows(records, headers, which, self._seed)
        back = sieve_headers.flows(records, headers, opens, self._seed, back=True)
        found = self._flows.find(np.concatenate([here, back]))
        slots, backs = (np.full(len(known), -1, np.int64) for _ in range(2))
        slots[which], backs[opens] = np.split(found, [len(which)])
        self._flows.others[slots[opens]], self._flows.others[backs[opens]] = backs[opens], slots[opens]
        anew = np.flatnonzero(tcp & (flags & SYN != 0))
        self._flows.dull[slots[anew]] = self._flows.dull[backs[anew]] = False
        self._headers, self._slots = headers, slots
        # Of single packets, asked for one by one: bytes answer sooner than arrays.
        self._opening = (tcp & (flags & (SYN | ACK) == SYN)).tobytes()
        self._counted = (known & ~headers.marked).tobytes()
        unsure = np.flatnonzero(speaks & ~free)
        hot = self._flows.grace != DONE
        hot[slots[opens]] = hot[backs[opens]] = True
        free[unsure[hot[slots[unsure]]]] = True
        which = np.flatnonzero(free)
        sure = np.ones(len(known), np.bool_)
        sure[unsure] = False
        return _Chosen(which, sure[which], slots[which], headers.network[which], headers.wide[which], backs[which])
