"""Records found in many places at once are those found one by one, whatever lies in the packets."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.packets import records
from sentinel.packets.records import CaptureParser
from sentinel.packets.wire import Undecodable


def capture(chance: random.Random, order: str, largest: int) -> tuple[bytes, list[bytes]]:
    """Return a pcap file and its packets; some of them hold what looks like a record."""
    magic = 0xA1B2C3D4
    out, packets = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 1 << 18, 1)], []
    time = chance.choice([1_700_000_000, 0x6553FFF0, 3])
    for _ in range(chance.randrange(400)):
        time += chance.choice([0, 0, 1, 20_000])
        size = chance.randrange(largest)
        fake = struct.pack(order + "IIII", time, 7, chance.choice([0, 60, 1 << 30]), 60)
        packet = chance.choice([bytes(size), chance.randbytes(size), (fake * (size // 16 + 1))[:size]])
        out.append(struct.pack(order + "IIII", time, chance.randrange(10**6), len(packet), len(packet)) + packet)
        packets.append(packet)
    return b"".join(out), packets


@given(st.integers(0, 2**32), st.sampled_from("<>"), st.sampled_from([1, 40, 3000]), st.integers(0, 40))
@settings(deadline=None, max_examples=80)
def test_every_record_is_found_and_nothing_else(seed, order, largest, cut):
    """A record that is missed is an access that was not seen; one that is made up is an access that was not made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "LANES", 8)
        patch.setattr(records, "LANE", 64)
        patch.setattr(records, "SEARCHED", 50)
        patch.setattr(records, "FEW", 3)
        data, packets = capture(random.Random(seed), order, largest)
        data = data[: len(data) - min(cut, len(data) - 24)]
        parser = CaptureParser()
        found = [bytes(packet) for lot in parser.feed(data) for _time, _link, packet, _length in lot]
    assert found == packets[: len(found)]
    assert len(data) - parser.offset < 16 + largest
    assert (parser.finish() is None) == (parser.offset == len(data))


def test_damage_is_told_where_it_is(monkeypatch):
    """Everything before it is read, even when its way had been gone from behind it."""
    monkeypatch.setattr(records, "LANES", 8)
    monkeypatch.setattr(records, "LANE", 64)
    monkeypatch.setattr(records, "SEARCHED", 200)
    monkeypatch.setattr(records, "FEW", 1)
    record = struct.pack("<IIII", 1_700_000_000, 1, 100, 100) + bytes(100)
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1)
    broken = struct.pack("<IIII", 1_700_000_000, 1, 1 << 30, 100) + bytes(100)
    parser = CaptureParser()
    lots = parser.feed(head + record * 50 + broken + record * 50)
    assert len(next(lots)) == 50
    with pytest.raises(Undecodable):
        next(lots)
    assert parser.offset == 24 + 50 * len(record)
