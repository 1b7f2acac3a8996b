"""IP: fragments in any order, repeated and overlapping; headers within their bounds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.packets import ip, link
from sentinel.packets.wire import Undecodable

WHOLE = bytes(range(200)) * 2


def part(begin: int, end: int, *, data: bytes = WHOLE, source: bytes = b"\xc0\0\2\7", number: int = 1) -> ip.Datagram:
    """Return the fragment with the bytes from *begin* to *end*."""
    piece = data[begin:end]
    return ip.Datagram(source, bytes(len(source)), ip.UDP, memoryview(piece), len(piece), (number, begin, end < len(data)))


def joined(parts: list[ip.Datagram], counters: Counter[str] | None = None) -> list[bytes]:
    """Return the datagrams that *parts* make up."""
    table = ip.Fragments(Counter() if counters is None else counters)
    return [bytes(whole.payload) for one in parts if (whole := table.add(one, 0)) is not None]


@given(
    st.lists(st.tuples(st.integers(0, 49), st.integers(1, 20)), max_size=30),
    st.sampled_from([b"\xc0\0\2\7", bytes(16)]),
    st.randoms(use_true_random=False),
)
def test_fragments_that_overlap_and_agree_make_the_datagram_once(cuts, source, chance):
    """It was sent twice over links of different size; every byte that came was said twice alike."""
    parts = [part(8 * begin, min(8 * (begin + size), len(WHOLE)), source=source) for begin, size in cuts]
    parts += [part(begin, begin + 40, source=source) for begin in range(0, len(WHOLE), 40)]
    chance.shuffle(parts)
    assert joined(parts)[:1] == [WHOLE]


@pytest.mark.parametrize("source", [b"\xc0\0\2\7", bytes(16)])
@pytest.mark.parametrize("begin", [0, 8, 40, 80])
def test_fragments_that_contradict_each_other_make_nothing(source, begin):
    """Which bytes the receiver believed depends on its system: either name could be the wrong one."""
    counters: Counter[str] = Counter()
    other = bytes(200 - one % 200 for one in range(400))
    parts = [part(0, 200, source=source), part(begin, begin + 48, data=other, source=source), part(200, 400, source=source)]
    assert joined(parts, counters) == []
    assert counters["fragments_refused"] == 1


def test_fragments_of_different_datagrams_are_kept_apart():
    """By identification, by source, and by the protocol that IPv4 tells in each of them."""
    assert joined([part(0, 200), part(200, 400, number=2)]) == []
    assert joined([part(0, 200), part(200, 400, source=b"\xc0\0\2\x08")]) == []
    assert joined([part(0, 200), part(200, 400)._replace(protocol=ip.TCP)]) == []


def test_fragments_beyond_the_end_are_refused():
    """The last fragment says how long the datagram is, and a second last one contradicts it."""
    counters: Counter[str] = Counter()
    assert joined([part(200, 400), part(200, 400, data=WHOLE + bytes(80))], counters) == []
    assert counters["fragments_refused"] == 1


@given(st.binary(max_size=120), st.integers(0, 120))
@pytest.mark.parametrize("kind", [link.IPV4, link.IPV6])
def test_any_bytes_give_a_datagram_or_the_declared_error(kind, data, at):
    """Lengths, offsets and headers are the sender's to choose."""
    for start in (b"", b"\x45\0\0\x54", b"\x60\0\0\0\0\x20\0", b"\x60\0\0\0\0\x40\x2c"):
        try:
            read = ip.read(kind, memoryview(start + data), min(at, len(data)))
        except Undecodable:
            continue
        assert read.length >= len(read.payload) >= 0
