"""DNS messages: names as they are, pointers that end, unknown types carried along."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR

from sentinel.packets import dns
from sentinel.packets.wire import Undecodable


def test_an_answer_gives_addresses_and_aliases():
    """They tie later connections to the name that was asked for."""
    records = [
        DNSRR(rrname="app.pimeyes.com", type="CNAME", rdata="edge.example"),
        DNSRR(rrname="edge.example", type="A", rdata="198.51.100.1"),
        DNSRR(rrname="edge.example", type="AAAA", rdata="2001:db8::1"),
        DNSRR(rrname="edge.example", type=65400, rdata=b"\1\2"),
    ]
    message = dns.read(bytes(DNS(qr=1, qd=DNSQR(qname="app.pimeyes.com", qtype=65401), an=records)))
    assert message is not None
    assert message.questions == [dns.Question("app.pimeyes.com", "TYPE65401")]
    assert (message.addresses, message.aliases) == (["198.51.100.1", "2001:db8::1"], ["edge.example"])


def test_a_dot_inside_a_label_is_no_boundary():
    """One label `evil.pimeyes` before `com` is another name than pimeyes.com's child."""
    assert dns.read_name(b"\x0cevil.pimeyes\x03com\0", 0)[0] == r"evil\046pimeyes.com"


@pytest.mark.parametrize("name", [b"\xc0\x0c", b"\x01a\xc0\x0c", b"\xc0\x10", b"\x3fabc", b"\x40" + bytes(64), b"\xc0"])
def test_a_name_that_does_not_end_is_undecodable(name):
    """Pointers to themselves, forward, or out of the message: no loop, no guess."""
    with pytest.raises(Undecodable):
        dns.read(struct.pack(">HHHHHH", 1, 0, 1, 0, 0, 0) + name)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_the_declared_error(data):
    """A resolver's port hears everything."""
    try:
        dns.read(data)
    except Undecodable:
        return
    dns.ech_public_names(data)


@given(st.integers(0, 60))
def test_a_cut_query_gives_its_whole_name_or_an_error(length):
    """Half a name is another name."""
    data = bytes(DNS(qd=DNSQR(qname="app.clearview.ai")))[:length]
    try:
        message = dns.read(data)
    except Undecodable:
        return
    assert message is not None
    assert message.questions[0].name == "app.clearview.ai"
