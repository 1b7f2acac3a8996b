"""Segments in any order, with and without the SYN: the hello is told once, and where copies differ nothing is guessed."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.packets import strays
from sentinel.packets.decoder import Decoder
from sentinel.packets.records import CaptureParser
from sentinel.packets.sieve_intake import Intake
from tests.packets.made_packets import T0, decode, hello, names, records, segment, syn
from tests.packets.test_sieve import pcap

HELLO = records(hello(pad=1800))
HEADERS, OPENING = bytes(segment(b"")), bytes(syn(seq=0xFFFFFEFF))
NAME_AT = HELLO.index(b"pimeyes.com")
CONTRADICTED = {"TCP streams whose segments contradict each other": 1}
# A hello whose every byte may begin something: the random values of real ones are full of such bytes.
TRICKY = records(hello(pad=600).replace(bytes(600), b"\x16\x03\x01GPCO\x05\x01\0\x04\x01" * 50))


@st.composite
def segments(draw: st.DrawFn, stream: bytes) -> list[tuple[int, int]]:
    """Return where segments of *stream* begin and end: cut anywhere, some overlapping others, some sent twice, in any order."""
    cuts = draw(st.lists(st.integers(1, len(stream) - 1), max_size=5, unique=True))
    pieces = list(itertools.pairwise([0, *sorted(cuts), len(stream)]))
    extra = st.tuples(st.integers(0, len(stream) - 1), st.integers(1, 1400))
    pieces += [(begin, min(begin + size, len(stream))) for begin, size in draw(st.lists(extra, max_size=3))]
    pieces += draw(st.lists(st.sampled_from(pieces), max_size=3))
    return draw(st.permutations(pieces))


def sent(stream: bytes, pieces: Sequence[tuple[int, int]], at: int | None = None) -> list[bytes]:
    """Return segments of *stream*, the SYN before the one numbered *at*; None for no SYN."""
    packets = []
    for begin, end in pieces:
        frame = bytearray(HEADERS) + stream[begin:end]
        struct.pack_into(">H", frame, 16, len(frame) - 14)
        struct.pack_into(">I", frame, 38, (0xFFFFFF00 + begin) & 0xFFFFFFFF)
        packets.append(bytes(frame))
    if at is not None:
        packets.insert(at, OPENING)
    return packets


@given(st.data(), st.sampled_from([HELLO, TRICKY]), st.none() | st.integers(0, 8))
@settings(deadline=None, max_examples=200)
def test_a_hello_is_told_once_whatever_the_order_of_its_segments(data, stream, at):
    """Lost, sent again, gone other ways, copied by the mirror: sequence numbers tell what belongs where, also without SYN."""
    decoder = Decoder()
    packets = sent(stream, data.draw(segments(stream)), at)
    assert names(decode(packets, decoder=decoder)) == ["pimeyes.com"]
    assert not decoder.counters["contradicted"]


@given(st.data(), st.none() | st.integers(0, 8), st.integers(200, 60_000))
@settings(deadline=None, max_examples=60)
def test_the_sieve_lets_all_of_them_through(data, at, piece):
    """A replay looks at few packets: those of a hello whose beginning comes last must be among them."""
    packets = sent(HELLO, data.draw(segments(HELLO)), at)
    decoder = Decoder()
    intake, parser, seen = Intake(decoder), CaptureParser(), []
    capture = pcap(packets)
    for begin in range(0, len(capture), piece):
        for lot in parser.feed(capture[begin : begin + piece]):
            seen += intake.take(lot)
    assert names([*seen, *decoder.finish()]) == ["pimeyes.com"]


@pytest.mark.integration
@given(st.data(), st.none() | st.integers(0, 8))
@settings(deadline=None, max_examples=150)
def test_segments_that_contradict_each_other_are_reported(data, at):
    """Which copy the server believed cannot be known. What was told before the second one came is in doubt from then on."""
    other = HELLO.replace(b"pimeyes.com", b"example.org")
    pieces = data.draw(segments(HELLO))
    which = data.draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces)))
    packets = sent(HELLO, pieces)
    for nth, (begin, end) in enumerate(pieces):
        if which[nth]:
            packets[nth] = sent(other, [(begin, end)])[0]
    if at is not None:
        packets.insert(at, OPENING)
    decoder = Decoder()
    told = names(decode(packets, decoder=decoder))
    first: dict[int, int] = {}
    both = False
    for (begin, end), here in zip(pieces, which, strict=True):
        for place, byte in enumerate((other if here else HELLO)[begin:end], begin):
            both |= first.setdefault(place, byte) != byte
    asked = bytes(first[place] for place in range(len(HELLO)))[NAME_AT : NAME_AT + 11].decode()
    assert bool(decoder.counters["contradicted"]) == both
    assert told in ([[asked], []] if both else [[asked]])


def test_another_hello_in_the_place_of_the_first_is_reported():
    """Sent first with a name that looks well, to be dropped on the way, and then with the true one: an old trick."""
    other = HELLO.replace(b"pimeyes.com", b"example.org")
    for pieces in ([(0, len(HELLO))], [(0, 1400), (1400, len(HELLO))]):
        decoder = Decoder()
        assert names(decode([syn(seq=0xFFFFFEFF), *sent(other, pieces), *sent(HELLO, pieces)], decoder=decoder)) == [
            "example.org"
        ]
        assert decoder.noteworthy() == CONTRADICTED
        assert decoder.lost() == 1


def test_a_keep_alive_contradicts_nothing():
    """It is one byte of garbage in the place of one that was sent (RFC 1122, section 4.2.3.6)."""
    decoder = Decoder()
    packets = [syn(), segment(HELLO[:1400]), segment(b"\0", seq=1001 + 1399), segment(HELLO[1400:], seq=1001 + 1400)]
    assert names(decode(packets, decoder=decoder)) == ["pimeyes.com"]
    assert decoder.noteworthy() == {}


def test_a_server_that_was_not_asked_in_sight_waits_for_nothing():
    """Downloads without a beginning must not fill what is kept for late ones."""
    decoder = Decoder()
    decode([segment(b"\xaa" * 1400, seq=1 + 1400 * n) for n in range(40)], decoder=decoder)
    waiting = decoder._connections.strays
    assert not waiting.waiting
    assert waiting._bytes == 0
    assert len(waiting.dull) == 1


@pytest.mark.parametrize("limit", ["MOST_STREAMS", "MOST_BYTES", "MOST_DULL"])
def test_what_is_kept_of_strays_is_bounded(limit, monkeypatch):
    """Strangers decide how many streams have no beginning."""
    monkeypatch.setattr(strays, limit, 200)
    decoder = Decoder()
    frame = bytearray(bytes(segment(b"\xaa" * 20)))
    each = strays.MOST_PIECES + 1 if limit == "MOST_DULL" else 2
    for port, nth in itertools.product(range(250), range(each)):
        frame[34:36], frame[38:42] = port.to_bytes(2, "big"), (1000 + 40 * nth).to_bytes(4, "big")
        decoder.packet(T0, 1, memoryview(frame), len(frame), 1)
    kept = decoder._connections.strays
    assert len(kept.waiting) <= 200
    assert len(kept.dull) <= 200
    assert kept._bytes == sum(one.size + strays.OVERHEAD * len(one.pieces) for one in kept.waiting.values())


def test_strays_are_forgotten_after_a_while():
    """A connection that uses the same ports later has nothing to do with them."""
    kept = strays.Strays(Decoder().counters)
    kept.keep(b"a", 1, b"x", 0)
    kept.keep(b"b", 1, b"x", strays.TIMEOUT + 1)
    assert list(kept.waiting) == [b"b"]
