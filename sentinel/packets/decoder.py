"""From packets to observations: the one decoder that replay and live capture share.

Most packets are the middle of a bulk transfer. They are told by a few fixed offsets and left alone at once; only what may be
the beginning of something is taken apart.
"""

from __future__ import annotations

import ipaddress
import struct
from collections import Counter, OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sentinel.observation import Observation
from sentinel.packets import dns, http1, ip, link, quic, tls
from sentinel.packets.seen import Seen
from sentinel.packets.tcp import ACK, RST, SYN, Flow, Streams, in_window
from sentinel.packets.wire import Undecodable

DNS_PORTS = frozenset({53})
STARTS = frozenset({tls.HANDSHAKE}) | http1.STARTS
BEGINNINGS = frozenset({b"\x16\x03" + bytes([minor]) for minor in range(256)} | {method[:3] for method in http1.METHODS})
"""The first byte, and the first three, of a segment that may begin something."""
ECH_NAMES = frozenset({"cloudflare-ech.com"})
"""Outer names that are nobody's own: a hello for one of them with an ECH extension hides another name."""
MOST_ECH_NAMES = 4096
MOST_REQUESTS = 64
"""Of one flow at one time. A megabyte of pipelined requests ends sooner so than the reader's patience."""

WORDS = {
    "truncated": "packets cut by the snap length",
    "undecodable": "packets whose headers do not come apart",
    "dns_undecodable": "DNS messages that do not come apart",
    "tls_undecodable": "TLS hellos that do not come apart",
    "hellos_cut": "TLS hellos whose end is missing",
    "requests_cut": "HTTP requests whose end is missing",
    "segments_dropped": "TCP segments beyond a gap that was too long",
    "evicted": "unfinished streams given up for want of memory",
    "fragments_cut": "IP fragments cut by the snap length",
    "fragments_missing": "IP datagrams of which fragments are missing",
    "fragments_refused": "IP datagrams whose fragments overlap",
    "quic_undecrypted": "QUIC Initials that do not decrypt",
    "quic_undecodable": "QUIC Initials that do not come apart",
    "quic_incomplete": "QUIC hellos whose end is missing",
    "quic_dropped": "QUIC frames beyond a gap that was too long",
    "ech": "TLS hellos that hide the true name (ECH)",
}
"""Counters that limit what can be said of a capture, in words."""

_NOTHING: list[Seen] = []
"""What nearly every packet shows. Nobody appends to it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAST = struct.Struct(">12xHBxH2xHxB10xHH8xBB").unpack_from
"""Ethernet, IPv4 without options, TCP: ether type, version, length, fragment, protocol, ports, data offset, flags."""
_TCP = struct.Struct(">HHI4xBB").unpack_from
_UDP = struct.Struct(">HHH").unpack_from


@dataclass(frozen=True, slots=True)
class _Packet:
    """A packet on its way through: when it was captured, its number and bytes."""

    time: int
    frame: int
    data: memoryview


LOST = (
    "truncated", "hellos_cut", "requests_cut", "fragments_cut", "fragments_missing", "evicted", "segments_dropped",
    "quic_dropped", "quic_incomplete",
)  # fmt: skip


class Decoder:
    """Takes packets in the order of their capture and gives out what they show.

    `counters`: packets, truncated (by the snap length), undecodable, other_protocol, dns_undecodable, tls_undecodable,
    hellos_cut and requests_cut (the end never came), streams_idle, segments_dropped, evicted, fragments_*, quic_*,
    ech (a name is hidden), ech_grease (an ECH extension beside the true name).
    """

    def __init__(self, dns_ports: Collection[int] = DNS_PORTS) -> None:
        """Start with no packet seen. *dns_ports*: where DNS is spoken; not 5353 and 5355, where neighbours ask each other."""
        self._counters: Counter[str] = Counter()
        self._packets = 0
        self._dns_ports = frozenset(dns_ports)
        self._fragments = ip.Fragments(self._counters)
        self._streams = Streams(self._counters)
        self._initials = quic.Initials(self._counters)
        self._flows = self._streams.flows
        self._ech_names: OrderedDict[str, None] = OrderedDict()

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
            base = 14
            ether_type, version, length, fragment, protocol, source, destination, offset, flags = _FAST(data)
            if ether_type == 0x8100:
                base = 18
                ether_type, version, length, fragment, protocol, source, destination, offset, flags = _FAST(data, 4)
            # TCP without IP options, no fragment, neither SYN nor RST
            if protocol == 6 and version == 0x45 and ether_type == 0x0800 and not fragment & 0x3FFF and not flags & 6:
                start = base + 20 + (offset >> 4) * 4
                if start >= base + length > base:
                    return _NOTHING  # a mere acknowledgement
                if (
                    start < len(data)
                    and (data[start] not in STARTS or data[start : start + 3].tobytes() not in BEGINNINGS)
                    and data[base + 12 : base + 24].tobytes() not in self._flows
                    and source not in self._dns_ports
                    and destination not in self._dns_ports
                ):
                    return _NOTHING
        return self._slowly(_Packet(time_ns, frame, data), linktype, original_length)

    def finish(self) -> list[Seen]:
        """Return what streams that never came to their end show nevertheless. Call once, after the last packet."""
        seen: list[Seen] = []
        for flow in list(self._flows.values()):
            self._streams.forget(flow.key)
            self._rest_of(flow, seen)
        return seen

    def noteworthy(self) -> dict[str, int]:
        """Return how often something could not be read or was given up: what a reader of the findings has to know."""
        told = {WORDS[name]: count for name, count in self.counters.items() if name in WORDS and count}
        return dict(sorted(told.items()))

    def lost(self) -> int:
        """Return how many packets, hellos and requests could not be read for want of bytes or of memory."""
        return sum(self.counters[name] for name in LOST)

    def _slowly(self, packet: _Packet, linktype: int, original_length: int) -> list[Seen]:
        seen: list[Seen] = []
        if len(packet.data) < original_length:
            self._counters["truncated"] += 1
        try:
            where = link.network(linktype, packet.data)
            if where is None:
                self._counters["other_protocol"] += 1
                return seen
            whole = self._fragments.add(ip.read(where[0], packet.data, where[1]), packet.time)
            if whole is None:
                return seen
            if whole.protocol == ip.TCP:
                self._tcp(packet, whole, seen)
            elif whole.protocol == ip.UDP:
                self._udp(packet, whole, seen)
            else:
                self._counters["other_protocol"] += 1
        except (Undecodable, struct.error, IndexError):
            self._counters["undecodable"] += 1
        return seen

    def _udp(self, packet: _Packet, datagram: ip.Datagram, seen: list[Seen]) -> None:
        source, destination, length = _UDP(datagram.payload)
        payload = datagram.payload[8 : max(8, length) if length else len(datagram.payload)]
        addresses = (datagram.source, source, datagram.destination, destination)
        if source in self._dns_ports or destination in self._dns_ports:
            self._dns(packet, addresses, bytes(payload), seen)
        elif len(payload) >= quic.SMALLEST and payload[0] & 0xC0 == 0xC0:
            ports = datagram.payload[:4].tobytes()
            key = datagram.source + datagram.destination + ports
            reverse = datagram.destination + datagram.source + ports[2:] + ports[:2]
            hello = self._initials.datagram(key, reverse, bytes(payload), packet.time)
            if hello is not None:
                self._hello(packet, addresses, hello, "q", seen)

    def _tcp(self, packet: _Packet, datagram: ip.Datagram, seen: list[Seen]) -> None:
        data = datagram.payload
        source, destination, sequence, offset, flags = _TCP(data)
        start = (offset >> 4) * 4
        if start < 20:
            raise Undecodable("a TCP header shorter than it can be")
        payload = data[start:]
        lacking = max(0, datagram.length - max(start, len(data)))
        ports = data[:4].tobytes()
        key = datagram.source + datagram.destination + ports
        for gone in self._streams.given_up(packet.time):
            self._rest_of(gone, seen)
        flow = self._flows.get(key)
        if flags & SYN:
            flow = self._opened(packet, datagram, (key, source, destination, sequence + 1 & 0xFFFFFFFF, flags), flow, seen)
            sequence = sequence + 1 & 0xFFFFFFFF
        elif flags & RST:
            if flow is not None:
                self._streams.forget(key)
                self._rest_of(flow, seen)
            return
        if flow is None or (not in_window(flow, sequence) and payload):
            flow = self._midway(packet, datagram, (key, source, destination, sequence), payload)
        if flow is not None and (payload or lacking) and self._streams.add(flow, sequence, payload, lacking):
            flow.time, flow.frame, flow.packet = packet.time, packet.frame, packet.data
            self._advance(flow, seen)
            flow.packet = bytes(packet.data) if key in self._flows else b""

    def _opened(
        self,
        packet: _Packet,
        datagram: ip.Datagram,
        ends: tuple[bytes, int, int, int, int],
        flow: Flow | None,
        seen: list[Seen],
    ) -> Flow | None:
        """Follow what a SYN opens: the client's direction, and the server's where DNS answers come."""
        key, source, destination, first, flags = ends
        if flags & ACK and source not in self._dns_ports:
            self._streams.settle(key, "server")
            return None
        if flow is not None:
            if flow.next == first or (flow.buffer and in_window(flow, first)):
                return flow  # sent once more
            self._streams.forget(key)
            self._rest_of(flow, seen)
        flow = Flow(key, datagram.source, datagram.destination, source, destination, first, packet.time, packet.frame, b"")
        self._streams.open(flow)
        return flow

    def _midway(
        self, packet: _Packet, datagram: ip.Datagram, ends: tuple[bytes, int, int, int], payload: memoryview
    ) -> Flow | None:
        """Follow a stream whose opening was not seen, if this segment can be the beginning of something."""
        key, source, destination, sequence = ends
        half = len(datagram.source)
        reverse = key[half : 2 * half] + key[:half] + key[-2:] + key[-4:-2]
        is_dns = source in self._dns_ports or destination in self._dns_ports
        if not is_dns:
            settled = self._streams.settled
            role, other = settled.get(key), settled.get(reverse, "server")
            if role == "server" or reverse in self._flows or other != "server":
                return None  # what the server sends, be it a page about requests
            start = bytes(payload[:10])
            is_tls = len(start) >= 6 and start[0] == tls.HANDSHAKE and start[1] == 3 and start[5] == tls.CLIENT_HELLO
            is_http = http1.begins(start) is True and role in (None, "http")
            if not is_tls and not is_http:
                return None
        elif not _may_be_dns(payload):
            return None
        flow = Flow(key, datagram.source, datagram.destination, source, destination, sequence, packet.time, packet.frame, b"")
        self._streams.open(flow)
        return flow

    def _advance(self, flow: Flow, seen: list[Seen]) -> None:
        """Read as much of the stream as has come in, and settle what it is."""
        for _ in range(MOST_REQUESTS):
            if flow.key not in self._flows:
                return
            if not self._step(flow, seen):
                break
        if flow.key in self._flows and flow.cut:
            self._streams.settle(flow.key, "other")
            self._rest_of(flow, seen)

    def _step(self, flow: Flow, seen: list[Seen]) -> bool:
        """Take one message off the stream; return whether there may be another one in it."""
        stream = flow.buffer
        if not stream:
            return False
        if flow.source_port in self._dns_ports or flow.destination_port in self._dns_ports:
            return self._dns_step(flow, seen)
        if flow.body:
            return self._body_step(flow)
        if stream[0] == tls.HANDSHAKE:
            return self._tls_step(flow, seen)
        begins = http1.begins(stream)
        if begins is None:
            return False
        if not begins:
            self._streams.settle(flow.key, "other")
            return False
        return self._http_step(flow, seen)

    def _tls_step(self, flow: Flow, seen: list[Seen]) -> bool:
        try:
            message, whole = tls.handshake(flow.buffer)
            if not whole:
                return False
            self._streams.settle(flow.key, "tls")
            self._hello(flow, _ends(flow), tls.read(message), "t", seen)
        except Undecodable:
            self._counters["tls_undecodable"] += 1
            self._streams.settle(flow.key, "other")
        return False

    def _http_step(self, flow: Flow, seen: list[Seen]) -> bool:
        end = http1.head_end(flow.buffer)
        if end is None:
            if len(flow.buffer) <= http1.LARGEST_HEAD:
                return False
            self._streams.settle(flow.key, "http")
            self._rest_of(flow, seen)
            return False
        request = http1.read(bytes(flow.buffer[:end]))
        if request is None:
            self._streams.settle(flow.key, "other")
            return False
        self._request(flow, request, seen)
        self._streams.skip(flow, end)
        if request.chunked:
            flow.body = "chunks"
        elif request.length and request.method != "CONNECT":
            if request.length > 1 << 30:  # beyond what sequence numbers can tell apart
                self._streams.settle(flow.key, "http")
                return False
            self._streams.skip(flow, request.length)
        return True

    def _body_step(self, flow: Flow) -> bool:
        if flow.body == "trailers":
            line_end = flow.buffer.find(b"\n")
            if line_end < 0:
                return False
            if not flow.buffer[:line_end].strip():
                flow.body = ""
            self._streams.skip(flow, line_end + 1)
            return True
        step, size = http1.chunk(flow.buffer)
        if step == "broken":
            self._streams.settle(flow.key, "other")
        elif step != "more":
            flow.body = "trailers" if step == "end" else "chunks"
            self._streams.skip(flow, size)
        return step in ("skip", "end")

    def _dns_step(self, flow: Flow, seen: list[Seen]) -> bool:
        if len(flow.buffer) < 2:
            return False
        size = flow.buffer[0] << 8 | flow.buffer[1]
        if size < 12:
            self._counters["dns_undecodable"] += 1
            self._streams.settle(flow.key, "other")
            return False
        if len(flow.buffer) < 2 + size:
            return False
        self._dns(flow, _ends(flow), bytes(flow.buffer[2 : 2 + size]), seen)
        self._streams.skip(flow, 2 + size)
        return True

    def _rest_of(self, flow: Flow, seen: list[Seen]) -> None:
        """Take what is certain from a hello or request whose end never came; a cut name is no name."""
        stream = flow.buffer
        if not stream or flow.body or flow.source_port in self._dns_ports or flow.destination_port in self._dns_ports:
            return
        if stream[0] == tls.HANDSHAKE:
            try:
                hello = tls.read(tls.handshake(stream)[0])
            except Undecodable:
                return
            self._counters["hellos_cut"] += 1
            if hello.name is not None:
                self._hello(flow, _ends(flow), hello, "t", seen)
        elif http1.begins(stream):
            request = http1.read(bytes(stream), whole=False)
            if request is not None:
                self._counters["requests_cut"] += 1
                if request.host is not None:
                    self._request(flow, request, seen)

    def _dns(self, at: _Packet | Flow, ends: tuple[bytes, int, bytes, int], data: bytes, seen: list[Seen]) -> None:
        try:
            message = dns.read(data)
        except Undecodable:
            self._counters["dns_undecodable"] += 1
            return
        if message is None:
            return
        for name in message.ech_names:
            self._learn(name)
        asked = (*ends[2:], *ends[:2]) if message.answer else ends
        for question in message.questions:
            fields: dict[str, Any] = {"name": question.name, "query_type": question.type}
            if message.answer:
                fields |= {"names": tuple(message.aliases), "answers": (*message.aliases, *message.addresses)}
            seen.append(_seen(at, asked, kind="dns_answer" if message.answer else "dns_query", **fields))

    def _learn(self, name: str) -> None:
        self._ech_names[name] = None
        if len(self._ech_names) > MOST_ECH_NAMES:
            self._ech_names.popitem(last=False)

    def _hello(
        self, at: _Packet | Flow, ends: tuple[bytes, int, bytes, int], hello: tls.Hello, over: str, seen: list[Seen]
    ) -> None:
        hidden = hello.ech and hello.name is not None and (name := hello.name.lower()) and (
            name in ECH_NAMES or name in self._ech_names
        )  # fmt: skip
        if hello.ech:
            self._counters["ech" if hidden else "ech_grease"] += 1
        kind = "quic_client_hello" if over == "q" else "tls_client_hello"
        ja4 = tls.ja4(hello, over)
        seen.append(_seen(at, ends, kind=kind, name=hello.name, alpn=hello.alpn, ech=bool(hidden), ja4=ja4))

    def _request(self, flow: Flow, request: http1.Request, seen: list[Seen]) -> None:
        one = _seen(
            flow,
            _ends(flow),
            kind="proxy_connect" if request.method == "CONNECT" else "http_request",
            name=request.host,
            names=(request.also,) if request.also else (),
            url=request.url,
            path=request.path,
            query=request.query,
            method=request.method,
            user_agent=request.user_agent,
            bytes_up=request.length,
        )
        seen.append(one)


def _may_be_dns(payload: memoryview) -> bool:
    """Return whether a segment can begin with a DNS message over TCP: a length, an opcode of 0, one question."""
    return (
        len(payload) >= 14 and payload[0] << 8 | payload[1] >= 12 and not payload[4] & 0x78 and bytes(payload[6:8]) == b"\0\1"
    )


def _ends(flow: Flow) -> tuple[bytes, int, bytes, int]:
    return flow.source, flow.source_port, flow.destination, flow.destination_port


def _seen(at: _Packet | Flow, ends: tuple[bytes, int, bytes, int], **fields: Any) -> Seen:
    client, client_port, server, server_port = ends
    observation = Observation(
        time=_EPOCH + timedelta(microseconds=at.time // 1000),
        client=str(ipaddress.ip_address(client)),
        client_port=client_port,
        server=str(ipaddress.ip_address(server)),
        server_port=server_port,
        **fields,
    )
    return Seen(observation, at.frame, bytes(at.data if isinstance(at, _Packet) else at.packet))
