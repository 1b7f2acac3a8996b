"""How much each direction of a connection sent, and when: counted for many packets at once.

A span is what one direction sent without a pause. Payload is counted by TCP's sequence numbers, so that what is sent again, or
captured on both sides of a switch, counts once, and a segment that came in late is not missed.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from sentinel.packets.records import Integers, Records
from sentinel.packets.sieve_headers import Headers, sequences
from sentinel.packets.tcp import SYN

PAUSE = 1_000_000_000
"""ns. Between two bursts at least so long nothing is sent."""
LOST_AT_MOST = 1 << 20
"""Bytes that a capture may lack in one span. What jumps further belongs to another connection on the same ports."""


class Span(NamedTuple):
    """What one direction sent without a pause. Acknowledgements are in spans of their own, of no size."""

    slot: int
    ends: bytes  # source, destination, both ports, as they stand in the packet
    tcp: bool
    first: int  # ns since 1970 UTC
    last: int
    size: int  # bytes of payload
    packets: int
    flags: int  # TCP's, of all packets together
    at: int  # the first packet's place among the records


def spans(records: Records, headers: Headers, slots: Integers, tops: Integers, which: Integers) -> list[Span]:
    """Return the spans of the packets *which*, in the order of their beginnings.

    *slots*: each packet's flow, by number. *tops*: up to which sequence number each flow was counted, -1 when it was not; they
    are brought up to date.
    """
    if not len(which):
        return []
    which = which[np.argsort(slots[which], kind="stable")]
    slot, flags = slots[which], headers.flags[which] * headers.tcp[which]
    opens, speaks = flags & SYN != 0, headers.payload[which] > 0
    fresh = np.r_[True, slot[1:] != slot[:-1]] | opens  # another flow, or another connection on the same ports
    order = np.argsort(np.cumsum(fresh) * 2 + speaks, kind="stable")
    which, speaks, groups = which[order], speaks[order], np.cumsum(fresh)[order]
    times = records.times[which]
    breaks = (groups[1:] != groups[:-1]) | (speaks[1:] != speaks[:-1]) | (speaks[1:] & (times[1:] - times[:-1] > PAUSE))
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(which)]
    found = [
        _span(records, headers, slots, tops, which[begin:end], bool(speaks[begin])) for begin, end in itertools.pairwise(edges)
    ]
    return sorted(found, key=lambda span: span.at)


def _span(records: Records, headers: Headers, slots: Integers, tops: Integers, some: Integers, speaks: bool) -> Span:
    first = int(some[0])
    slot, tcp, network = int(slots[first]), bool(headers.tcp[first]), int(headers.network[first])
    flags = int(np.bitwise_or.reduce(headers.flags[some])) if tcp else 0
    if flags & SYN:
        opening = some[headers.flags[some] & SYN != 0][:1]
        tops[slot] = (int(sequences(records, headers, opening)[0]) + 1) & 0xFFFFFFFF
    sizes = headers.payload[some].astype(np.int64)
    size = int(sizes.sum()) if speaks else 0
    if tcp and speaks:
        size = _unrepeated(sequences(records, headers, some), sizes, tops, slot)
    begin, end = (network + 8, network + 44) if headers.wide[first] else (network + 12, network + 24)
    times = records.times[some]
    ends = bytes(records.view[begin:end])
    return Span(slot, ends, tcp, int(times.min()), int(times.max()), size, len(some), flags, first)


def _unrepeated(starts: Integers, sizes: Integers, tops: Integers, slot: int) -> int:
    """Return how many bytes lie beyond what was counted of a flow before, and remember how far that is now."""
    base = int(tops[slot]) if tops[slot] >= 0 else int(starts[0] + min(0, _ahead(starts, int(starts[0])).min()))
    reach = int(_ahead(starts + sizes, base).max())
    if not -LOST_AT_MOST <= reach <= int(sizes.sum()) + LOST_AT_MOST:
        base, reach = int(starts[0]), int(sizes.sum())
    reach = max(0, reach)
    tops[slot] = (base + reach) & 0xFFFFFFFF
    return reach


def _ahead(sequences: Integers, base: int) -> Integers:
    """Return how far sequence numbers lie after *base*, negative before it, both going round at 2**32."""
    return ((sequences - base + 0x80000000) & 0xFFFFFFFF) - 0x80000000
