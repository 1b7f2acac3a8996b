"""From packets to observations: the one decoder that replay and live capture share.

Most packets are the middle of a bulk transfer. They are told by a few fixed offsets and left alone at once; only what may be
the beginning of something is taken apart.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Container

from sentinel.packets import ip, link, quic, tunnel
from sentinel.packets.connections import BEGINNINGS, SHORT, STARTS, Connections
from sentinel.packets.ports import DNS_PORTS, NEIGHBOURS
from sentinel.packets.resolved import Resolved
from sentinel.packets.seen import Concerns, Seen
from sentinel.packets.telling import Ends, Packet, Teller
from sentinel.packets.wire import Undecodable

MOST_TUNNELS = 8

WORDS = {
    "truncated": "packets cut by the snap length",
    "undecodable": "packets whose headers do not come apart",
    "dns_undecodable": "DNS messages that do not come apart",
    "tls_undecodable": "TLS hellos that do not come apart",
    "hellos_cut": "TLS hellos whose end is missing",
    "requests_cut": "HTTP requests whose end is missing",
    "contradicted": "TCP streams whose segments contradict each other",
    "evicted": "unfinished streams given up for want of memory",
    "fragments_cut": "IP fragments cut by the snap length",
    "fragments_missing": "IP datagrams of which fragments are missing",
    "fragments_refused": "IP datagrams whose fragments contradict each other",
    "tunnels_too_deep": "packets in more tunnels than are followed",
    "dns_cut": "DNS messages whose end is missing",
    "http2_undecodable": "HTTP/2 connections that do not come apart",
    "certificates_cut": "server certificates whose end is missing",
    "certificates_undecodable": "server certificates that do not come apart",
    "quic_undecrypted": "QUIC Initials that do not decrypt",
    "quic_undecodable": "QUIC Initials that do not come apart",
    "quic_incomplete": "QUIC hellos whose end is missing",
    "quic_dropped": "QUIC frames beyond a gap that was too long",
    "quic_versions": "QUIC first packets of a version that is not read",
    "answers_evicted": "DNS answers forgotten for want of memory",
    "ech": "TLS hellos that hide the true name (ECH)",
}
"""Counters that limit what can be said of a capture, in words."""

_NOTHING: list[Seen] = []
"""What nearly every packet shows. Nobody appends to it."""

_V4 = struct.Struct(">HBxH2xHxB2x12s8xBB").unpack_from
"""An ether type, then IPv4 without options and TCP: version, length, fragment, protocol, ends, data offset, flags."""
_V6 = struct.Struct(">4xHBx36s8xBB").unpack_from
"""IPv6 without extension headers and TCP: length, next header, ends, data offset, flags."""
_UDP = struct.Struct(">HHH").unpack_from

LOST = (
    "truncated", "hellos_cut", "requests_cut", "fragments_cut", "fragments_missing", "evicted", "quic_dropped",
    "quic_incomplete", "contradicted",
)  # fmt: skip


class Decoder:
    """Takes packets in the order of their capture and gives out what they show.

    `resolved` remembers which names a client was answered an address for. `inner` is the TCP or UDP datagram of a packet that
    was taken apart, the innermost one of tunnels, put together from fragments; it stays until somebody takes it away. `metered`
    holds the ends of TCP connections of which all packets with payload are taken apart.

    `counters`: packets, truncated (by the snap length), undecodable, other_protocol, tunnels_too_deep, fragments_*, dns_*,
    tls_undecodable, hellos_cut and requests_cut (the end never came), hellos_repeated (sent again, told once), contradicted
    (sent again with other bytes), strays_dropped (segments that waited for a beginning), certificates_*, http2_undecodable,
    streams_idle, evicted, answers_evicted, quic_*, ech (a name is hidden), ech_grease (an ECH extension beside the true name).
    """

    def __init__(
        self,
        dns_ports: Collection[int] = DNS_PORTS,
        vxlan_ports: Collection[int] = tunnel.VXLAN_PORTS,
        *,
        concerns: Concerns | None = None,
    ) -> None:
        """Start with no packet seen.

        Args:
            dns_ports: Where DNS is spoken. mDNS and LLMNR are not DNS: their ports are left out even when they are given.
            vxlan_ports: UDP destination ports of VXLAN tunnels; empty to follow none.
            concerns: Says which names are to be told, of lookups and handshakes; None: all. Hellos for others are put into
                `unconcerning`, which who gives this is to empty.
        """
        self._counters: Counter[str] = Counter()
        self._packets = 0
        self.inner: ip.Datagram | None = None
        self.metered: Container[bytes] = frozenset()
        self._dns_ports = frozenset(dns_ports) - NEIGHBOURS
        self._vxlan_ports = frozenset(vxlan_ports)
        self._tcp_ports = frozenset(port.to_bytes(2, "big") for port in self._dns_ports)
        self._udp_ports = self._tcp_ports | {port.to_bytes(2, "big") for port in self._vxlan_ports}
        self._fragments = ip.Fragments(self._counters)
        self.resolved = Resolved(self._counters)
        self._teller = Teller(self._counters, self.resolved, concerns)
        self.unconcerning = self._teller.unconcerning
        self._connections = Connections(self._teller, self._counters, self._dns_ports)
        self._initials = quic.Initials(self._counters)
        streams = self._connections.streams
        self._flows, self._settled, self._recent = streams.flows, streams.settled, streams.recent
        self._dull, self._strays = self._connections.strays.dull, self._connections.strays.waiting

    @property
    def counters(self) -> Counter[str]:
        """What was counted so far."""
        self._counters["packets"] = self._packets
        return self._counters

    def packet(self, time_ns: int, linktype: int, data: memoryview, original_length: int, frame: int) -> list[Seen]:
        """Return what this packet completes.

        Args:
            time_ns: When it was captured, in nanoseconds since 1970 UTC.
            linktype: What *data* begins with (https://www.tcpdump.org/linktypes.html).
            data: The captured bytes; what is kept of them is copied.
            original_length: The packet's length on the wire.
            frame: Its number in the capture, from 1.
        """
        self._packets += 1
        if linktype == 1 and len(data) >= 54:
            at = 12
            kind, version, length, fragment, protocol, ends, offset, flags = _V4(data, 12)
            if kind == 0x8100:
                at = 16
                kind, version, length, fragment, protocol, ends, offset, flags = _V4(data, 16)
            if kind == 0x0800 and version == 0x45 and not fragment & 0x3FFF:
                begin = at + 22
                end = begin - 20 + length
            elif kind == 0x86DD and len(data) >= at + 62:
                length, protocol, ends, offset, flags = _V6(data, at + 2)
                begin = at + 42
                end = begin + length
            else:
                return self._slowly(Packet(time_ns, frame, data), linktype, original_length)
            if protocol == 6 and not flags & 6 and ends not in self._flows:  # neither SYN nor RST
                start = begin + (offset >> 4) * 4
                if start >= end and length:
                    if not flags & 1 or ends not in self.metered:
                        return _NOTHING  # a mere acknowledgement, or the end of something
                elif (
                    start < len(data)
                    and (
                        data[start] not in STARTS
                        or (data[start : start + 3].tobytes() not in BEGINNINGS and end - start >= SHORT)
                    )
                    and ends[-4:-2] not in self._tcp_ports
                    and ends[-2:] not in self._tcp_ports
                    and (ends in self._dull or ends in self._settled)
                    and ends not in self._recent
                    and ends not in self._strays
                    and ends not in self.metered
                ):
                    return _NOTHING
            if protocol == 6:
                if kind == 0x0800 and length >= 40:
                    whole = ip.Datagram(ends[:4], ends[4:8], ip.TCP, data[begin:end], end - begin)
                    return self._segment(Packet(time_ns, frame, data), whole, original_length)
            elif (
                protocol == 17
                and (length < quic.SMALLEST or data[begin + 8] & 0xC0 != 0xC0)
                and ends[-4:-2] not in self._udp_ports
                and ends[-2:] not in self._udp_ports
            ):
                return _NOTHING
        return self._slowly(Packet(time_ns, frame, data), linktype, original_length)

    @property
    def whole_ports(self) -> frozenset[int]:
        """Where every packet with payload is read: DNS, and tunnels over UDP."""
        return self._dns_ports | self._vxlan_ports

    def follows(self, ends: bytes) -> bool:
        """Return whether a stream is being read, so that any segment of it may matter.

        *ends*: source, destination and both ports of its segments, as they stand in the packet.
        """
        return ends in self._flows or ends in self._strays

    def finish(self) -> list[Seen]:
        """Return what streams that never came to their end show nevertheless. Call once, after the last packet."""
        return self._connections.finish()

    def noteworthy(self) -> dict[str, int]:
        """Return how often something could not be read or was given up: what a reader of the findings has to know."""
        told = {WORDS[name]: count for name, count in self.counters.items() if name in WORDS and count}
        return dict(sorted(told.items()))

    def lost(self) -> int:
        """Return how many packets, hellos and requests could not be read for want of bytes or of memory."""
        return sum(self.counters[name] for name in LOST)

    def _segment(self, packet: Packet, whole: ip.Datagram, original_length: int) -> list[Seen]:
        """Do what `_slowly` does, for a TCP segment whose headers were plain."""
        seen: list[Seen] = []
        if len(packet.packet) < original_length:
            self._counters["truncated"] += 1
        self.inner = whole
        try:
            self._connections.segment(packet, whole, seen)
        except (Undecodable, struct.error, IndexError):
            self._counters["undecodable"] += 1
        return seen

    def _slowly(self, packet: Packet, linktype: int, original_length: int) -> list[Seen]:
        seen: list[Seen] = []
        if len(packet.packet) < original_length:
            self._counters["truncated"] += 1
        try:
            where = link.network(linktype, packet.packet)
            if where is None:
                self._counters["other_protocol"] += 1
            else:
                self._network(packet, (where[0], packet.packet, where[1]), seen)
        except (Undecodable, struct.error, IndexError):
            self._counters["undecodable"] += 1
        return seen

    def _network(self, packet: Packet, inner: tunnel.Inner, seen: list[Seen]) -> None:
        """Read an IP packet, and those in it."""
        for _ in range(MOST_TUNNELS):
            whole = self._fragments.add(ip.read(*inner), packet.time)
            if whole is None:
                return
            if whole.protocol == ip.TCP:
                self.inner = whole
                self._connections.segment(packet, whole, seen)
                return
            inside = tunnel.inside(whole, self._vxlan_ports)
            if inside is None:
                if whole.protocol == ip.UDP:
                    self.inner = whole
                    self._udp(packet, whole, seen)
                else:
                    self._counters["other_protocol"] += 1
                return
            inner = inside
        self._counters["tunnels_too_deep"] += 1

    def _udp(self, packet: Packet, datagram: ip.Datagram, seen: list[Seen]) -> None:
        source, destination, length = _UDP(datagram.payload)
        payload = datagram.payload[8 : max(8, length) if length else len(datagram.payload)]
        ends = Ends(datagram.source, source, datagram.destination, destination)
        if source in self._dns_ports or destination in self._dns_ports:
            self._teller.dns(packet, ends, bytes(payload), seen)
        elif len(payload) >= quic.SMALLEST and payload[0] & 0xC0 == 0xC0:
            ports = datagram.payload[:4].tobytes()
            key = datagram.source + datagram.destination + ports
            hello = self._initials.datagram(key, bytes(payload), packet.time)
            if hello is not None:
                self._teller.hello(packet, ends, hello, "q", seen)
