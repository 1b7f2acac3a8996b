"""The address-to-name memory: a name for an address while it holds, and never when there could be two."""

from __future__ import annotations

from collections import Counter

from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRRHTTPS, SvcParam
from scapy.layers.inet import IP, UDP

from sentinel.packets import resolved
from sentinel.packets.decoder import Decoder
from sentinel.packets.resolved import LINGER, SECOND, Resolved
from tests.packets.made_packets import ETHER, T0, decode

DESK, OTHER_DESK = bytes([10, 0, 0, 7]), bytes([10, 0, 0, 8])
ADDRESS, ANOTHER = bytes([203, 0, 113, 9]), bytes([203, 0, 113, 10])


def test_an_address_has_its_name_for_the_client_that_was_told():
    """Another client may have the address from elsewhere."""
    memory = Resolved(Counter())
    memory.learn(DESK, "pimeyes.com", [(ADDRESS, 300)], 0)
    assert memory.names_for(DESK, ADDRESS, 299 * SECOND) == {"pimeyes.com"}
    assert memory.names_for(OTHER_DESK, ADDRESS, 0) == frozenset()
    assert memory.names_for(DESK, ANOTHER, 0) == frozenset()


def test_a_name_ends_with_its_ttl_but_not_within_a_minute():
    """Browsers keep an answer that long whatever it says; after it, nothing is guessed."""
    memory = Resolved(Counter())
    memory.learn(DESK, "pimeyes.com", [(ADDRESS, 5)], 0)
    assert memory.names_for(DESK, ADDRESS, 60 * SECOND) == {"pimeyes.com"}
    assert memory.names_for(DESK, ADDRESS, 61 * SECOND) == frozenset()


def test_an_address_that_served_another_name_lately_has_both():
    """A connection for the other name may still be open: who reads the set sees that it tells neither."""
    memory = Resolved(Counter())
    memory.learn(DESK, "news.example", [(ADDRESS, 60)], 0)
    memory.learn(DESK, "pimeyes.com", [(ADDRESS, 6000)], 1000 * SECOND)
    assert memory.names_for(DESK, ADDRESS, 1001 * SECOND) == {"news.example", "pimeyes.com"}
    assert memory.names_for(DESK, ADDRESS, 61 * SECOND + LINGER) == {"pimeyes.com"}


def test_the_memory_is_bounded(monkeypatch):
    """Whoever answers a million names costs no more than the bound; what is forgotten is counted."""
    monkeypatch.setattr(resolved, "MOST_ADDRESSES", 100)
    monkeypatch.setattr(resolved, "MOST_ANSWERS", 120)
    counters: Counter[str] = Counter()
    memory = Resolved(counters)
    for number in range(2000):
        memory.learn(DESK, f"n{number}.example", [((number % 300).to_bytes(4, "big"), 300), (ADDRESS, 300)], number)
        assert len(memory) <= 120
    assert len(memory.names_for(DESK, ADDRESS, 2000)) == resolved.MOST_NAMES
    assert counters["answers_evicted"] > 100
    memory.learn(DESK, "x" * 300, [(ADDRESS, 300)], 0)
    assert "x" * 300 not in memory.names_for(DESK, ADDRESS, 0)


def test_an_answer_on_the_wire_is_learned_along_its_aliases():
    """The name that was asked for, not the content network's; with the shortest time on the way; not for strangers' records."""
    records = [
        DNSRR(rrname="edge.example", type="A", rdata="203.0.113.9", ttl=6000),  # before the alias that leads to it
        DNSRR(rrname="App.PimEyes.com", type="CNAME", rdata="Edge.example", ttl=120),
        DNSRR(rrname="edge.example", type="AAAA", rdata="2001:db8::9", ttl=6000),
        DNSRR(rrname="unrelated.example", type="A", rdata="203.0.113.10", ttl=6000),
    ]
    answer = DNS(qr=1, qd=DNSQR(qname="app.pimeyes.com"), an=records)
    decoder = Decoder()
    decode([ETHER / IP(src="192.0.2.53", dst="10.0.0.7") / UDP(sport=53, dport=4000) / answer], decoder=decoder)
    for address in (ADDRESS, bytes.fromhex("20010db8000000000000000000000009")):
        assert decoder.resolved.names_for(DESK, address, T0 + 119 * SECOND) == {"app.pimeyes.com"}
        assert decoder.resolved.names_for(DESK, address, T0 + 125 * SECOND) == frozenset()
    assert decoder.resolved.names_for(DESK, ANOTHER, T0) == frozenset()


def test_the_hints_of_an_https_record_are_addresses_too():
    """RFC 9460, section 7.3: a browser may connect to them before the A record comes."""
    record = DNSRRHTTPS(
        rrname="pimeyes.com",
        svc_priority=1,
        target_name=".",
        svc_params=[SvcParam(key="ipv4hint", value=["203.0.113.9", "203.0.113.10"])],
        ttl=300,
    )
    decoder = Decoder()
    answer = DNS(qr=1, qd=DNSQR(qname="pimeyes.com", qtype="HTTPS"), an=record)
    decode([ETHER / IP(src="192.0.2.53", dst="10.0.0.7") / UDP(sport=53, dport=4000) / answer], decoder=decoder)
    assert decoder.resolved.names_for(DESK, ANOTHER, T0) == {"pimeyes.com"}
