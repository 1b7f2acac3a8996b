"""Names of which no rule says anything: passed over quickly, and nothing that concerns us is lost with them."""

from __future__ import annotations

import itertools
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.packets import dns
from sentinel.packets.decoder import Decoder
from sentinel.packets.dns_skim import skim
from sentinel.packets.records import CaptureParser
from sentinel.packets.seen import Seen
from sentinel.packets.wire import Undecodable
from tests.packets.test_sieve import LINKS, Traffic, everything, pcap

NAMING = ("dns_query", "dns_answer", "tls_client_hello", "quic_client_hello")


def concerns(name: str) -> bool:
    """Whether a name is told."""
    return name == "app.clearview.ai"


def concerning(one: Seen) -> bool:
    """Whether an observation has to be told."""
    seen = one.observation
    return seen.kind not in NAMING or seen.name is None or any(map(concerns, (seen.name, *seen.names)))


@pytest.mark.integration
@given(st.integers(0, 2**32), st.sampled_from(sorted(LINKS)))
@settings(deadline=None, max_examples=30)
def test_all_that_concerns_us_is_told_and_counted_as_ever(seed, link):
    """The quick way leaves out what matches nothing, and changes nothing else: neither counters nor remembered addresses."""
    capture = pcap(Traffic(random.Random(seed), link).packets(), link=LINKS[link])
    every, slow = everything(capture)
    quick, seen, frames = Decoder(concerns=concerns), [], itertools.count(1)
    for lot in CaptureParser().feed(capture):
        for packet in lot:
            seen += quick.packet(*packet, next(frames))
    seen += quick.finish()
    assert [one for one in seen if concerning(one)] == [one for one in every if concerning(one)]
    assert {one.frame for one in seen} <= {one.frame for one in every}
    assert quick.counters == slow.counters
    assert quick.resolved._names == slow.resolved._names
    skipped = [one.observation for one in every if not concerning(one) and one.observation.kind.endswith("hello")]
    assert [(one.name, one.client_port) for one in quick.unconcerning] == [(one.name, one.client_port) for one in skipped]


LABELS = st.lists(st.text("abcXYZ09-_", min_size=1, max_size=12), min_size=1, max_size=5).map(".".join)
RECORDS = {
    "A": (1, bytes([203, 0, 113, 1])),
    "AAAA": (28, bytes(15) + b"\1"),
    "CNAME": (5, b"\5other\0"),
    "TXT": (16, b"\5words"),
}


def message(name: str, answers: int, kinds: list[str], cut: int) -> bytes:
    """Return a query, or an answer with records of *kinds*, without its last bytes."""
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    records = [RECORDS[kind] for kind in kinds[:answers]]
    data = struct.pack(">HHHHHH", 7, 0x8180 if answers else 0x0100, 1, len(records), 0, 0) + wire + b"\0\1\0\1"
    for kind, value in records:
        data += struct.pack(">HHHIH", 0xC00C, kind, 1, 300 + kind, len(value)) + value
    return data[: len(data) - cut]


@given(LABELS, st.integers(0, 3), st.lists(st.sampled_from(["A", "AAAA", "CNAME", "TXT"]), max_size=3), st.integers(0, 12))
@settings(deadline=None, max_examples=150)
def test_a_plain_message_is_read_as_in_full(name, answers, kinds, cut):
    """What the quick way reads it reads rightly; what is not plain it leaves alone."""
    agrees(message(name, answers, kinds, cut))


def test_addresses_are_read_the_quick_way():
    """Else the test above would hold for a reader that leaves everything alone."""
    data = message("www.pimeyes.com", 2, ["A", "AAAA"], 0)
    found = skim(data)
    assert found is not None
    assert found.answer and [len(address) for address, _ttl in found.resolved] == [4, 16]
    assert skim(message("www.pimeyes.com", 0, [], 0)) == (b"\x03www\x07pimeyes\x03com\0", False, [])
    assert skim(message("www.pimeyes.com", 1, ["CNAME"], 0)) is None


@given(st.binary(max_size=80), st.booleans())
@settings(deadline=None, max_examples=200)
def test_any_bytes_are_read_as_in_full_or_left_alone(data, shaped):
    """What strangers send is never taken for something that it is not."""
    agrees(b"\0\7\1\0\0\1\0\0\0\0\0\0" + data if shaped else data)


def agrees(data: bytes) -> None:
    """Hold that a message is left alone, or read as `dns.read` does."""
    found = skim(data)
    if found is None:
        return
    try:
        full = dns.read(data)
    except Undecodable:
        full = None
    assert full is not None and not full.cut
    assert (full.answer, full.aliases, full.ech_names, len(full.questions)) == (found.answer, [], [], 1)
    assert full.questions[0].name == dns.read_name(found.name, 0)[0]
    assert full.resolved == found.resolved
