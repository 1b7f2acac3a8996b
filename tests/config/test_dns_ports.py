"""The setting `dns_ports`: where packets are DNS."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from pydantic import ValidationError
from scapy.layers.dns import DNS, DNSQR
from scapy.utils import wrpcap

from sentinel.config.settings import settings_for
from sentinel.sources.follow_capture import FollowCapture
from tests.packets.made_packets import datagram

SOURCES = [{"type": "capture", "path": "a.pcap"}]


def test_dns_is_spoken_on_port_53_unless_told_otherwise():
    """A department's resolver may listen elsewhere."""
    assert settings_for([])(sources=SOURCES).dns_ports == [53]
    assert settings_for([])(sources=SOURCES, dns_ports=[53, 5300]).dns_ports == [53, 5300]


@pytest.mark.parametrize("port", [5353, 5355, 0, 65536])
def test_ports_that_cannot_be_a_resolvers_are_refused(port):
    """What neighbours ask each other over mDNS and LLMNR is nobody's lookup."""
    with pytest.raises(ValidationError):
        settings_for([])(sources=SOURCES, dns_ports=[port])


def test_a_followed_capture_is_read_with_the_ports_that_are_set(tmp_path: Path):
    """The setting reaches the decoder."""
    path = tmp_path / "a.pcap"
    wrpcap(str(path), [datagram(bytes(DNS(qd=DNSQR(qname="pimeyes.com"))), dport=5300)])
    for ports, expected in (([53], []), ([5300], ["pimeyes.com"])):
        stop = threading.Event()
        found = []
        for batch in FollowCapture(str(path), ports).batches(stop, {}):
            found += [one.observation.name for one in batch.seen]
            if batch.caught_up:
                stop.set()
        assert found == expected
