"""The kernel's filter: whatever the decoder can read comes through, bulk does not. The kernel itself runs the program here."""

import ctypes
import socket
import struct
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.erspan import ERSPAN_II
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import GRE, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN

from sentinel.packets.decoder import Decoder
from sentinel.sources.kernel_filter import kernel_filter
from tests.packets.made_packets import CLIENT, ETHER, SERVER, T0, hello, records

SO_ATTACH_FILTER = 26
HELLO = records(hello(pad=1500))
FIRST, SECOND = HELLO[:1400], HELLO[1400:]
QUERY = bytes.fromhex("123401000001000000000000") + b"\x07pimeyes\x03com\x00\x00\x01\x00\x01"
QUIC = b"\xc3\x00\x00\x00\x01" + bytes(1195)
BULK = b"\x17\x03\x03\x40\x11" + bytes(range(256)) * 5
FROM_SERVER = IP(src=SERVER, dst=CLIENT) / TCP(sport=443, dport=40000, flags="PA", seq=1)
FROM_CLIENT = IP(src=CLIENT, dst=SERVER) / TCP(sport=40000, dport=443, flags="PA", seq=1)
V6 = IPv6(src="2001:db8::7", dst="2001:db8::9")


@contextmanager
def kernel(program):
    """Yield a function that tells whether the kernel lets a packet through *program*: a Unix socket takes filters as well."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    kept = ctypes.create_string_buffer(program, len(program))
    far.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(kept)))
    far.setblocking(False)
    with near, far:

        def passes(packet):
            near.send(packet)
            try:
                return far.recv(1 << 18) == packet
            except BlockingIOError:
                return False

        yield passes


@pytest.fixture(scope="module")
def passes():
    with kernel(kernel_filter(ethernet=True, dns_ports={53}, outgoing=False)) as asked:
        yield asked


def tunnelled(inner):
    """Return *inner*, an IP packet, in everything that a mirror port may wrap around it."""
    plain = ETHER / inner
    outer = ETHER / IP(src="10.0.0.1", dst="10.0.0.2")
    return {
        "plain": plain,
        "vlan": ETHER / Dot1Q(vlan=5) / inner,
        "qinq": ETHER / Dot1AD(vlan=5) / Dot1Q(vlan=6) / inner,
        "mpls": ETHER / MPLS(label=16, s=0) / MPLS(label=17, s=1) / inner,
        "pppoe": ETHER / PPPoE(sessionid=1) / PPP(proto=0x21) / inner,
        "gre": outer / GRE(key_present=1, key=7) / inner,
        "gre with a checksum and a frame": outer / GRE(chksum_present=1, proto=0x6558) / plain,
        "erspan I": outer / GRE(proto=0x88BE) / plain,
        "erspan II": outer / GRE(proto=0x88BE, seqnum_present=1, sequence_number=3) / ERSPAN_II() / plain,
        "vxlan": outer / UDP(sport=50000, dport=4789) / VXLAN(vni=7, flags=8) / plain,
        "ip in ip": outer / inner,
        "vlan in vxlan": outer / UDP(dport=4789) / VXLAN(vni=7, flags=8) / ETHER / Dot1Q(vlan=9) / inner,
        "6to4": ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2") / inner,
        "options": ETHER / IP(src=CLIENT, dst=SERVER, options=b"\x94\x04\x00\x00") / inner.payload,
    }


WRAPPINGS = sorted(tunnelled(FROM_CLIENT))


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_what_can_matter_comes_through_every_wrapping(passes, wrapping):
    """A hello's second part begins with any byte, and the wrapping says nothing of what is in it."""
    for inner in (
        IP(src=CLIENT, dst=SERVER) / TCP(sport=40000, dport=443, flags="S"),
        FROM_CLIENT / FIRST,
        FROM_CLIENT / SECOND,
        FROM_CLIENT / b"\x16",
        FROM_CLIENT / b"GET / HTTP/1.1\r\n\r\n",
        FROM_SERVER / b"\x16\x03\x03\x00\x5a\x02\x00",
        FROM_SERVER / b"HTTP/1.1 200 OK\r\n\r\n",
        IP(src=CLIENT, dst=SERVER) / TCP(sport=40000, dport=443, flags="FA"),
        IP(src=SERVER, dst=CLIENT) / TCP(sport=443, dport=40000, flags="R"),
        IP(src=CLIENT, dst=SERVER) / UDP(sport=40000, dport=53) / QUERY,
        IP(src=CLIENT, dst=SERVER) / UDP(sport=40000, dport=443) / QUIC,
    ):
        assert passes(bytes(tunnelled(inner)[wrapping]))


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_bulk_and_acknowledgements_stay_in_the_kernel(passes, wrapping):
    """They are nearly all of what a mirror port shows; Python could not even throw them away fast enough."""
    for inner in (
        FROM_SERVER / BULK,
        FROM_SERVER / BULK[9:],
        FROM_CLIENT / BULK,
        IP(src=CLIENT, dst=SERVER) / TCP(sport=40000, dport=443, flags="A"),
        IP(src=SERVER, dst=CLIENT) / TCP(sport=3128, dport=50000, flags="A") / bytes(1000),
        IP(src=SERVER, dst=CLIENT) / UDP(sport=443, dport=40000) / (b"\x41" + bytes(1000)),
    ):
        assert not passes(bytes(tunnelled(inner)[wrapping]))


def test_padding_is_no_payload(passes):
    """Ethernet pads short frames, so that an acknowledgement is followed by six bytes that are none of its own."""
    frame = bytes(ETHER / IP(src=CLIENT, dst=SERVER) / TCP(sport=40000, dport=443, flags="A"))
    assert not passes(frame.ljust(60, b"\0"))


def test_a_client_with_a_low_port_still_shows_its_hello(passes):
    """An address translator may give a client any port. What may be lost is the rest of a split hello."""
    for sport, dport in ((700, 8443), (1500, 40000)):
        for beginning in (FIRST, b"GET / HTTP/1.1\r\n\r\n", b"CONNECT a.example:443 HTTP/1.1\r\n\r\n"):
            assert passes(bytes(ETHER / IP(src=CLIENT, dst=SERVER) / TCP(sport=sport, dport=dport, flags="PA") / beginning))


@pytest.mark.parametrize("size", [0, 1, 5, 6])
def test_segments_too_small_to_judge_come_through(passes, size):
    """A hello may come byte by byte."""
    assert passes(bytes(ETHER / FROM_CLIENT / bytes(size))) == bool(size)


def test_version_6_with_its_headers_and_fragments(passes):
    """Extension headers move what is asked for, and a fragment has no ports to ask for."""
    query = UDP(sport=40000, dport=53) / QUERY
    for packet in (
        ETHER / V6 / query,
        ETHER / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / query,
        ETHER / V6 / IPv6ExtHdrFragment(offset=3, m=1, nh=17) / bytes(64),
        ETHER / V6 / TCP(sport=40000, dport=443, flags="PA") / SECOND,
    ):
        assert passes(bytes(packet))
    assert not passes(bytes(ETHER / V6 / TCP(sport=443, dport=40000, flags="PA") / BULK))
    assert not passes(bytes(ETHER / V6 / IPv6ExtHdrHopByHop() / TCP(sport=40000, dport=443, flags="A")))
    for part in fragment(IP(src=CLIENT, dst=SERVER) / UDP(sport=1, dport=443) / bytes(3000), 1400):
        assert passes(bytes(ETHER / part))


def test_packets_that_the_card_put_together(passes):
    """Offloaded segments have up to 64 KiB, and beyond that no length in their header."""
    large = bytes(ETHER / FROM_CLIENT / (b"POST / HTTP/1.1\r\n\r\n" + bytes(65000)))
    assert passes(large)
    unsized = bytearray(bytes(ETHER / FROM_CLIENT / b"") + b"POST / HTTP/1.1\r\n\r\n" + bytes(70000))
    unsized[16:18] = b"\0\0"
    assert passes(bytes(unsized))


def test_other_protocols_stay_in_the_kernel(passes):
    """Neighbours asking for each other, and frames cut off within their headers."""
    assert not passes(bytes(ETHER / ARP()))
    whole = bytes(ETHER / FROM_CLIENT / FIRST)
    assert not any(passes(whole[:size]) for size in range(1, 40))


def test_interfaces_without_a_link_layer():
    """A tunnel's packets begin with IP."""
    with kernel(kernel_filter(ethernet=False, dns_ports={53}, outgoing=True)) as asked:
        assert asked(bytes(FROM_CLIENT / FIRST))
        assert asked(bytes(V6 / UDP(sport=40000, dport=53) / QUERY))
        assert not asked(bytes(FROM_SERVER / BULK))


def test_dns_on_other_ports():
    """Where DNS is spoken is the configuration's to say."""
    query = bytes(ETHER / IP(src=CLIENT, dst=SERVER) / UDP(sport=40000, dport=5300) / QUERY)
    with kernel(kernel_filter(ethernet=True, dns_ports={53, 5300}, outgoing=False)) as asked:
        assert asked(query)


@pytest.mark.integration
@given(
    st.lists(
        st.tuples(
            st.sampled_from(WRAPPINGS),
            st.sampled_from([443, 8080, 80, 53, 40000, 1023]),
            st.sampled_from([40000, 50000, 11000]),
            st.one_of(
                st.sampled_from([FIRST, SECOND, QUERY, QUIC, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"]),
                st.binary(max_size=40),
            ),
            st.sampled_from(["tcp", "udp"]),
        ),
        max_size=4,
    )
)
@settings(max_examples=60, deadline=None)
def test_the_decoder_reads_the_same_with_and_without_the_filter(passes, traffic):
    """Nothing that can be read may be lost to the filter: this is what makes it one."""
    frames = []
    for wrapping, server, client, payload, over in traffic:
        layer = TCP(sport=client, dport=server, flags="PA", seq=1) if over == "tcp" else UDP(sport=client, dport=server)
        frames.append(bytes(tunnelled(IP(src=CLIENT, dst=SERVER) / layer / payload)[wrapping]))
    assert _read(frames) == _read([frame for frame in frames if passes(frame)])


def _read(frames):
    decoder, seen = Decoder(), []
    for number, frame in enumerate(frames, 1):
        seen += decoder.packet(T0, 1, memoryview(frame), len(frame), number)
    seen += decoder.finish()
    return [(one.observation, one.packet) for one in seen]


def test_the_program_fits_into_older_kernels():
    """Before Linux 6.8 a socket with its filter may take 20 KiB, and the kernel translates the program into a larger one."""
    assert len(kernel_filter(ethernet=True, dns_ports=range(8), outgoing=False)) < 8000
