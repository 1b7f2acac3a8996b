"""Tunnels: what is inside is read as if it came plain, whatever options the tunnel's header has."""

from __future__ import annotations

import struct

import pytest
from scapy.contrib.erspan import ERSPAN_I, ERSPAN_II, ERSPAN_III, ERSPAN_PlatformSpecific
from scapy.contrib.mpls import MPLS
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from sentinel.packets.decoder import MOST_TUNNELS, Decoder
from tests.packets.made_packets import CLIENT, ETHER, SERVER, datagram, decode, hello, names, records

OUTER = ETHER / IP(src="10.0.0.1", dst="10.0.0.2")
SIX = ETHER / IPv6(src="2001:db8:f::1", dst="2001:db8:f::2")
INNER = IP(src=CLIENT, dst=SERVER) / UDP(sport=40000, dport=53) / DNS(qd=DNSQR(qname="pimeyes.com"))
INNER_SIX = IPv6(src="2001:db8::7", dst="2001:db8::9") / UDP(sport=40000, dport=53) / DNS(qd=DNSQR(qname="pimeyes.com"))
FRAME = Ether(src="02:00:00:00:00:03", dst="02:00:00:00:00:04")
PSEUDOWIRE = ETHER.copy()
PSEUDOWIRE.type = 0x8847
TUNNELS: dict[str, Packet] = {
    "gre": OUTER / GRE() / INNER,
    "gre with a checksum": OUTER / GRE(chksum_present=1) / INNER,
    "gre with a key": OUTER / GRE(key_present=1, key=7) / INNER,
    "gre with a sequence number": OUTER / GRE(seqnum_present=1, sequence_number=7) / INNER,
    "gre with all three": OUTER / GRE(chksum_present=1, key_present=1, seqnum_present=1) / INNER,
    "gre over ipv6": SIX / GRE() / INNER,
    "ipv6 in gre": OUTER / GRE(proto=0x86DD) / INNER_SIX,
    "ethernet in gre": OUTER / GRE(proto=0x6558, key_present=1) / FRAME / INNER,
    "a vlan in gre": OUTER / GRE(proto=0x6558) / FRAME / Dot1Q(vlan=7) / INNER,
    "mpls in gre": OUTER / GRE(proto=0x8847) / MPLS(label=16, s=1) / INNER,
    "erspan 1": OUTER / GRE(proto=0x88BE) / ERSPAN_I() / FRAME / INNER,
    "erspan 2": OUTER / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II() / FRAME / INNER,
    "erspan 3": OUTER / GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III() / FRAME / INNER,
    "erspan 3 with a subheader": OUTER
    / GRE(proto=0x22EB, seqnum_present=1)
    / ERSPAN_III(o=1)
    / ERSPAN_PlatformSpecific()
    / FRAME
    / INNER,
    "erspan 3 without a frame": OUTER / GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III(ft=2) / INNER,
    "vxlan": OUTER / UDP(sport=50000, dport=4789) / VXLAN(vni=7) / FRAME / INNER,
    "vxlan of rfc 7348": OUTER / UDP(sport=50000, dport=4789) / VXLAN(flags=8, vni=7) / FRAME / INNER,
    "vxlan without a frame": OUTER / UDP(sport=50000, dport=4789) / VXLAN(flags=12, NextProtocol=1, vni=7) / INNER,
    "vxlan with a group policy": OUTER / UDP(sport=50000, dport=4789) / VXLAN(flags=0x88, gpid=5, vni=7) / FRAME / INNER,
    "a vlan in vxlan over ipv6": SIX / UDP(sport=50000, dport=4789) / VXLAN(vni=7) / FRAME / Dot1Q(vlan=7) / INNER_SIX,
    "ip in ip": OUTER / INNER,
    "6in4": OUTER / INNER_SIX,
    "4in6": SIX / INNER,
    "erspan of gre": OUTER / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II() / FRAME / IP() / GRE() / INNER,
    "qinq, pppoe": ETHER / Dot1AD(vlan=7) / Dot1Q(vlan=8) / PPPoE(sessionid=1) / PPP() / INNER,
    "ethernet over mpls": PSEUDOWIRE / MPLS(label=16, s=1) / Raw(bytes(4)) / FRAME / INNER,
}


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_a_query_in_a_tunnel_is_told_from_its_own_client(tunnel):
    """The tunnel's ends are routers: nobody's access."""
    [seen] = decode([bytes(TUNNELS[tunnel])])
    assert (seen.observation.name, seen.observation.client_port) == ("pimeyes.com", 40000)
    assert seen.observation.client in (CLIENT, "2001:db8::7")
    assert seen.packet == bytes(TUNNELS[tunnel])


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_a_tunnel_cut_anywhere_gives_no_error_and_no_other_name(tunnel):
    """A snapped mirror packet ends in any of its headers."""
    whole = bytes(TUNNELS[tunnel])
    for length in range(len(whole)):
        assert names(decode([whole], snap=length)) in ([], ["pimeyes.com"])


def test_a_hello_in_fragments_of_a_tunnel_is_put_together():
    """The tunnel's header makes full-sized packets too long for the link, so that each comes in two."""
    stream = records(hello(pad=1800))
    inner = IP(src=CLIENT, dst=SERVER) / TCP(sport=40000, dport=443, flags="PA")
    packets = []
    for number, begin in enumerate((0, 1400)):
        carried = bytes(inner / Raw(stream[begin : begin + 1400]))
        inner[TCP].seq += 1400
        outer = IP(src="10.0.0.1", dst="10.0.0.2", id=number) / GRE(proto=0x0800) / Raw(carried)
        packets += [ETHER / part for part in fragment(outer, fragsize=400)]
    assert len(packets) > 4
    assert names(decode(packets)) == ["pimeyes.com"]


def test_other_ports_than_those_configured_are_no_vxlan():
    """A port of 8472 is what old Linux uses, and none may be wanted at all."""
    packet = OUTER / UDP(sport=50000, dport=8472) / VXLAN(vni=7) / FRAME / INNER
    assert decode([bytes(packet)]) == []
    assert names(decode([bytes(packet)], decoder=Decoder(vxlan_ports=[8472]))) == ["pimeyes.com"]
    assert decode([bytes(TUNNELS["vxlan"])], decoder=Decoder(vxlan_ports=[])) == []


def test_tunnels_in_tunnels_end():
    """A packet of many headers costs time for each of them; it is given up and counted."""
    packet: Packet = INNER
    for _ in range(MOST_TUNNELS):
        packet = IP() / packet
    decoder = Decoder()
    assert decode([bytes(ETHER / packet)], decoder=decoder) == []
    assert decoder.noteworthy() == {"packets in more tunnels than are followed": 1}


def test_what_only_looks_like_a_tunnel_is_left_alone():
    """PPTP's GRE, a VXLAN packet that carries something else, a payload to VXLAN's port that is none."""
    pptp = OUTER / Raw(struct.pack(">HHHH", 0x3001, 0x880B, 4, 1) + bytes(INNER))
    pptp[IP].proto = 47
    other = datagram(b"\x0c\0\0\x04" + bytes(4) + bytes(FRAME / INNER), dport=4789)
    short = datagram(b"\x08", dport=4789)
    assert decode([bytes(packet) for packet in (pptp, other, short)]) == []
