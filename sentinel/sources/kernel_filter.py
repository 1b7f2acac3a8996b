"""The kernel's filter: which packets may matter and reach Python, as a program for the kernel's packet filter.

It keeps no state, so it must let through whatever could be part of something readable:

- every fragment; every SYN, FIN and RST; DNS; QUIC's long headers of known versions; small pieces of a TCP stream;
- from clients, any TCP payload but the beginning of a TLS application data record. The second segment of a split ClientHello
  begins with any byte, so that the middle of an upload cannot be told from it and comes through too;
- from servers, only TLS handshake records, the beginning of an HTTP message, and all from mail ports. A server is told by
  its port. Should a client have such a port, what may be missed is the rest of a split hello, which the decoder counts as cut.

Mere acknowledgements, what servers send, and all other protocols are dropped. Inside VLAN tags, MPLS, PPPoE, GRE, ERSPAN, VXLAN
and IP in IP the same holds for the inner packet; what is nested deeper than that comes through whole.
"""

from __future__ import annotations

from collections.abc import Collection

from sentinel.packets.http1 import METHODS
from sentinel.sources.bpf import ANY_BIT, AT_LEAST, BYTE, EQUAL, GREATER, HALF, WORD, Assembler

WHOLE = 0x40000
"""Bytes that are captured of a packet that may matter: all, whatever the network card or the kernel put together."""

LEVELS = 2
"""How many packets within each other are looked into."""

VLANS = (0x8100, 0x88A8, 0x9100, 0x9200)
TAGS, LABELS, EXTENSIONS = (4, 2), (4, 2), (4, 2)
"""How many VLAN tags, MPLS labels and IPv6 extension headers are looked behind, at each level. What has more comes through:
the program must stay within what kernels before 6.8 take, which is 20 KiB once they have translated it."""
MPLS = (0x8847, 0x8848)
VXLAN = (4789, 8472)  # IANA's port, and Linux' own from before
GENEVE, VXLAN_GPE = 6081, 4790
QUIC_VERSIONS = (0, 1, 0x6B3343CF)  # version negotiation, RFC 9000, RFC 9369
QUIC_DRAFTS, QUIC_GREASE = 0xFF0000, 0x0A0A0A0A
MAIL = (25, 587)  # STARTTLS is agreed upon in the clear
HTTP = sorted({b"HTTP", b"PRI ", *(method[:4] for method in METHODS)})

SYSTEM_PORTS, REGISTERED, EPHEMERAL = 1024, 10000, 32768
"""A sender below 1024 that speaks to a port above is a server; so is one below 10000 that speaks to 32768 or above, where
systems take the ports of outgoing connections from. The second rule covers proxies (3128, 8080), and spares clients behind an
address translator that takes any port."""

SMALL = 6
"""Bytes of payload too few to judge by."""

_PACKET_TYPE, _OUTGOING = -0x1000 + 4, 4  # SKF_AD_OFF + SKF_AD_PKTTYPE, PACKET_OUTGOING
_END, _PROTOCOL, _START, _SOURCE, _DESTINATION, _X = range(6)  # memory slots


def kernel_filter(*, ethernet: bool, dns_ports: Collection[int], outgoing: bool) -> bytes:
    """Return the program, as an array of `struct sock_filter`.

    Args:
        ethernet: Packets begin with an Ethernet header, not with IP.
        dns_ports: Where DNS is spoken.
        outgoing: Whether what this machine itself sends matters.
    """
    code = Assembler()
    if not outgoing:  # kernels before 4.20 have no other way
        code.load_absolute(WORD, _PACKET_TYPE)
        code.when(EQUAL, _OUTGOING, "drop")
    code.set_x(0)
    if not ethernet:
        code.goto("0 by version")
    for level in range(LEVELS):
        _Level(code, level).write()
    _udp(code, dns_ports)
    _tcp(code, dns_ports)
    code.label(f"{LEVELS} ethernet")
    code.label(f"{LEVELS} by version")
    code.label("keep")
    code.answer(WHOLE)
    code.label("drop")
    code.answer(0)
    return code.assembled()


class _Level:
    """The program for one packet, X being the offset of its first header; packets inside it are the next level's."""

    def __init__(self, code: Assembler, level: int) -> None:
        self._code = code
        self._here, self._inner = f"{level} ", f"{level + 1} "
        self._tags, self._labels, self._extensions = TAGS[level], LABELS[level], EXTENSIONS[level]

    def write(self) -> None:
        """Write everything, in an order in which all jumps go forward."""
        self._ethernet()
        self._pppoe()
        self._mpls()
        self._by_version()
        self._ipv6()
        self._ipv4()
        self._transport()
        self._gre()
        self._vxlan()

    def _to(self, label: str) -> str:
        return self._here + label

    def _ethernet(self) -> None:
        code = self._code
        code.label(self._to("ethernet"))
        for tag in range(self._tags):
            code.load(HALF, 12)
            for vlan in VLANS:
                code.when(EQUAL, vlan, self._to(f"tag {tag}"))
            code.goto(self._to("type"))
            code.label(self._to(f"tag {tag}"))
            code.move(4)
        code.label(self._to("type"))
        code.load(HALF, 12)
        code.keep(_PROTOCOL)
        code.move(14)
        code.recall(_PROTOCOL)
        code.when(EQUAL, 0x0800, self._to("ipv4"))
        code.when(EQUAL, 0x86DD, self._to("ipv6"))
        for kind in MPLS:
            code.when(EQUAL, kind, self._to("mpls"))
        for vlan in VLANS:
            code.when(EQUAL, vlan, "keep")
        code.unless(EQUAL, 0x8864, "drop")

    def _pppoe(self) -> None:
        code = self._code
        code.load(BYTE, 6)
        code.when(ANY_BIT, 1, self._to("short ppp"))
        code.load(HALF, 6)
        code.keep(_PROTOCOL)
        code.move(8)
        code.goto(self._to("ppp"))
        code.label(self._to("short ppp"))
        code.keep(_PROTOCOL)
        code.move(7)
        code.label(self._to("ppp"))
        code.recall(_PROTOCOL)
        code.when(EQUAL, 0x0021, self._to("ipv4"))
        code.when(EQUAL, 0x0057, self._to("ipv6"))
        code.when(EQUAL, 0x0281, self._to("mpls"))
        code.unless(EQUAL, 0x0283, "drop")

    def _mpls(self) -> None:
        code = self._code
        code.label(self._to("mpls"))
        for _ in range(self._labels):
            code.load(BYTE, 2)
            code.keep(_PROTOCOL)
            code.move(4)
            code.recall(_PROTOCOL)
            code.when(ANY_BIT, 1, self._to("by version"))  # the bottom of the stack
        code.goto("keep")

    def _by_version(self) -> None:
        code = self._code
        code.label(self._to("by version"))
        code.load(BYTE, 0)
        code.shift_right(4)
        code.when(EQUAL, 4, self._to("ipv4"))
        code.when(EQUAL, 6, self._to("ipv6"))
        code.when(EQUAL, 0, "keep")  # a pseudowire's control word
        code.goto("drop")

    def _ipv6(self) -> None:
        code = self._code
        code.label(self._to("ipv6"))
        code.load(HALF, 4)
        code.when(EQUAL, 0, self._to("v6 unsized"))
        code.add(40)
        code.add_x()
        self._ends("v6 ends")
        code.goto(self._to("v6 sized"))
        code.label(self._to("v6 unsized"))
        code.load_length()
        code.keep(_END)
        code.label(self._to("v6 sized"))
        code.load(BYTE, 6)
        code.keep(_PROTOCOL)
        code.move(40)
        for nth in range(self._extensions):
            after = self._to(f"extension {nth} ends")
            code.recall(_PROTOCOL)
            code.when(EQUAL, 44, "keep")  # a fragment
            for extension in (0, 43, 60, 135):
                code.when(EQUAL, extension, self._to(f"extension {nth}"))
            code.unless(EQUAL, 51, self._to("transport"))
            self._extension(2)  # an authentication header
            code.goto(after)
            code.label(self._to(f"extension {nth}"))
            self._extension(3)
            code.label(after)
        code.goto("keep")

    def _extension(self, shift: int) -> None:
        """Pass over an extension header: its length counts units of 2**shift bytes, less the first eight."""
        code = self._code
        code.load(BYTE, 0)
        code.keep(_PROTOCOL)
        code.load(BYTE, 1)
        code.shift_left(shift)
        code.add(8)
        code.add_x()
        code.to_x()

    def _ipv4(self) -> None:
        code = self._code
        code.label(self._to("ipv4"))
        code.load(HALF, 6)
        code.when(ANY_BIT, 0x3FFF, "keep")  # a fragment
        code.load(HALF, 2)
        code.when(EQUAL, 0, self._to("v4 unsized"))  # put together from segments, over 64 KiB
        code.add_x()
        self._ends("v4 ends")
        code.goto(self._to("v4 sized"))
        code.label(self._to("v4 unsized"))
        code.load_length()
        code.keep(_END)
        code.label(self._to("v4 sized"))
        code.load(BYTE, 9)
        code.keep(_PROTOCOL)
        code.load(BYTE, 0)
        code.mask(0x0F)
        code.shift_left(2)
        code.add_x()
        code.to_x()

    def _ends(self, label: str) -> None:
        """Keep where the packet ends: at A, and not after the last captured byte."""
        code = self._code
        code.keep(_END)
        code.keep_x(_X)
        code.load_length()
        code.to_x()
        code.recall(_END)
        code.unless_x(GREATER, self._to(label))
        code.keep_x(_END)
        code.label(self._to(label))
        code.recall_x(_X)

    def _transport(self) -> None:
        code = self._code
        code.label(self._to("transport"))
        code.recall(_PROTOCOL)
        code.when(EQUAL, 6, "tcp")
        code.when(EQUAL, 17, self._to("udp"))
        for inside in (4, 41):
            code.when(EQUAL, inside, self._inner + "by version")
        code.when(EQUAL, 137, "keep")  # MPLS in IP: nobody's bulk
        code.unless(EQUAL, 47, "drop")

    def _gre(self) -> None:
        code = self._code
        code.load(HALF, 0)
        code.when(ANY_BIT, 0x4007, "keep")  # source routes, and PPTP's version
        code.keep(_START)
        code.load(HALF, 2)
        code.keep(_PROTOCOL)
        code.move(4)
        for bit in (0x8000, 0x2000, 0x1000):  # checksum, key, sequence number
            code.recall(_START)
            code.unless(ANY_BIT, bit, self._to(f"without {bit}"))
            code.move(4)
            code.label(self._to(f"without {bit}"))
        code.recall(_PROTOCOL)
        code.when(EQUAL, 0x0800, self._inner + "by version")
        code.when(EQUAL, 0x86DD, self._inner + "by version")
        code.when(EQUAL, 0x6558, self._inner + "ethernet")
        code.unless(EQUAL, 0x88BE, "keep")
        code.recall(_START)
        code.unless(ANY_BIT, 0x1000, self._inner + "ethernet")  # ERSPAN type I has no header
        code.move(8)
        code.goto(self._inner + "ethernet")

    def _vxlan(self) -> None:
        code = self._code
        code.label(self._to("udp"))
        code.load(HALF, 2)
        for port in VXLAN:
            code.when(EQUAL, port, self._to("vxlan"))
        code.goto("udp")
        code.label(self._to("vxlan"))
        code.load(BYTE, 8)
        code.unless(EQUAL, 0x08, "udp")  # another protocol's packet
        code.move(16)
        code.goto(self._inner + "ethernet")


def _udp(code: Assembler, dns_ports: Collection[int]) -> None:
    """Write what is asked of a UDP datagram at X."""
    code.label("udp")
    for at in (0, 2):
        code.load(HALF, at)
        for port in dns_ports:
            code.when(EQUAL, port, "keep")
    for port in (GENEVE, VXLAN_GPE):
        code.when(EQUAL, port, "keep")
    code.load(BYTE, 8)
    code.mask(0xC0)
    code.unless(EQUAL, 0xC0, "drop")
    code.load(WORD, 9)
    for version in QUIC_VERSIONS:
        code.when(EQUAL, version, "keep")
    code.mask(0x0F0F0F0F)
    code.when(EQUAL, QUIC_GREASE, "keep")
    code.load(WORD, 9)
    code.shift_right(8)
    code.when(EQUAL, QUIC_DRAFTS, "keep")
    code.goto("drop")


def _tcp(code: Assembler, dns_ports: Collection[int]) -> None:
    """Write what is asked of a TCP segment at X."""
    code.label("tcp")
    code.load(BYTE, 13)
    code.when(ANY_BIT, 0x07, "keep")  # FIN, SYN, RST
    code.load(HALF, 0)
    code.keep(_SOURCE)
    code.load(HALF, 2)
    code.keep(_DESTINATION)
    code.load(BYTE, 12)
    code.shift_right(4)
    code.shift_left(2)
    code.add_x()
    code.to_x()
    code.recall(_END)
    code.unless_x(GREATER, "drop")  # a mere acknowledgement
    code.subtract_x()
    code.unless(AT_LEAST, SMALL, "keep")
    _ports(code, dns_ports)
    _from_server(code)
    code.label("client")
    code.load(HALF, 0)
    code.unless(EQUAL, 0x1703, "keep")
    code.load(BYTE, 2)
    code.when(GREATER, 4, "keep")
    code.load(HALF, 3)
    code.when(GREATER, 0x4100, "keep")  # longer than a record can be (RFC 8446, section 5.2)
    code.goto("drop")


def _ports(code: Assembler, dns_ports: Collection[int]) -> None:
    """Tell servers and clients apart: go on at "client", or right behind."""
    for end in (_SOURCE, _DESTINATION):
        code.recall(end)
        for port in dns_ports:
            code.when(EQUAL, port, "keep")
    code.when(AT_LEAST, EPHEMERAL, "to ephemeral")
    code.unless(AT_LEAST, SYSTEM_PORTS, "client")
    code.recall(_SOURCE)
    code.unless(AT_LEAST, SYSTEM_PORTS, "server")
    code.goto("client")
    code.label("to ephemeral")
    code.recall(_SOURCE)
    code.when(AT_LEAST, REGISTERED, "client")


def _from_server(code: Assembler) -> None:
    """Write what is asked of what a server sends, its port being in A."""
    code.label("server")
    for port in MAIL:
        code.when(EQUAL, port, "keep")
    code.load(WORD, 0)
    for beginning in HTTP:
        code.when(EQUAL, int.from_bytes(beginning), "keep")
    code.shift_right(16)
    code.unless(EQUAL, 0x1603, "drop")
    code.goto("keep")
