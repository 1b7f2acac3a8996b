"""TCP connections: what the client's direction says, message by message, and a certificate where it names no server.

A stream is read from its SYN, or from the first segment that can be the beginning of something; segments that came before that
one are kept a while for it (`strays`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from struct import Struct

from sentinel.packets import certificates, http1, http2, ip, socks, starttls, tls
from sentinel.packets.seen import Seen
from sentinel.packets.strays import Strays
from sentinel.packets.tcp import ACK, FIN, LARGEST_STREAM, RST, SYN, WINDOW, Flow, Settled, State, Streams, distance, in_window
from sentinel.packets.telling import Ends, Packet, Teller
from sentinel.packets.wire import Undecodable

STARTS = frozenset({tls.HANDSHAKE, socks.V4, socks.V5}) | http1.STARTS
BEGINNINGS = frozenset(
    {b"\x16\x03" + bytes([minor]) for minor in range(256)}
    | {method[:3] for method in http1.METHODS}
    | {http2.PREFACE[:3], b"\x04\x01\x00", b"\x04\x01\x01", b"\x05\x01\x00"}
)
"""The first byte, and the first three, of a segment that may begin something. (SOCKS 4: to a port up to 511.)"""
SHORT = 6
"""A segment of fewer bytes may be the beginning of a hello that they do not show yet."""
MOST_MESSAGES = 64
"""Of one flow at one time. A megabyte of pipelined requests ends sooner so than the reader's patience."""
FORGOTTEN = 64 * 1024
"""Bytes after a hello from where on nobody sends it again."""
LONGEST_BODY = 1 << 30
"""Beyond what sequence numbers can tell apart."""

_HEADER = Struct(">HHIIBB").unpack_from


class Connections:
    """Takes the segments of all connections and tells what they complete."""

    def __init__(self, teller: Teller, counters: Counter[str], dns_ports: Collection[int]) -> None:
        """Start with none. *dns_ports*: where a stream is DNS in both directions."""
        self.streams = Streams(counters)
        self.strays = Strays(counters)
        self._flows = self.streams.flows
        self._teller = teller
        self._counters = counters
        self._dns_ports = dns_ports
        self._steps: dict[State, Callable[[Flow, list[Seen]], bool]] = {
            "begins": self._begin,
            "chunks": self._chunk,
            "trailers": self._trailer,
            "lines": self._line,
            "socks": self._socks,
            "http2": self._frame,
            "server": self._server,
            "dns": self._dns,
        }

    def segment(self, packet: Packet, datagram: ip.Datagram, seen: list[Seen]) -> None:
        """Take one segment.

        Raises:
            struct.error: It ends within its header.
            Undecodable: Its header contradicts itself.
        """
        data = datagram.payload
        source, destination, sequence, acknowledged, offset, flags = _HEADER(data)
        start = (offset >> 4) * 4
        if start < 20:
            raise Undecodable("a TCP header shorter than it can be")
        for gone in self.streams.given_up(packet.time):
            self._rest_of(gone, seen)
        payload = data[start:]
        lacking = max(0, datagram.length - max(start, len(data)))
        key = datagram.source + datagram.destination + data[:4].tobytes()
        if flags & SYN:
            sequence = sequence + 1 & 0xFFFFFFFF
        flow = self._flows.get(key)
        if flow is None or flags & (SYN | RST) or not _goes_on(flow, sequence):
            flow = self._flow_of(flow, _fresh(datagram, key, (source, destination, sequence), packet), flags, payload, seen)
        if flow is None:
            return
        flow.acknowledged = acknowledged
        if payload or lacking or (flags & SYN and flow.buffer):
            self._take(packet, flow, (sequence, payload, lacking), seen)
            if flow.stuck:
                self._give_up(flow, seen)
                flow = self._midway(_fresh(datagram, key, (source, destination, sequence), packet), payload)
                if flow is not None:
                    self._take(packet, flow, (sequence, payload, lacking), seen)
        if flags & FIN and flow is not None and distance(sequence + len(payload) & 0xFFFFFFFF, flow.next) <= 0:
            self._give_up(flow, seen)

    def finish(self) -> list[Seen]:
        """Return what streams that never came to their end show nevertheless."""
        seen: list[Seen] = []
        while self._flows:  # what a hello behind a hole says may open the other direction
            self._give_up(next(iter(self._flows.values())), seen)
        return seen

    def _flow_of(self, flow: Flow | None, fresh: Flow, flags: int, payload: memoryview, seen: list[Seen]) -> Flow | None:
        """Return the flow that a segment belongs to: *flow*, which is followed, or *fresh* when it may begin something."""
        if flags & SYN:
            return self._opened(fresh, flags, flow, seen)
        if flags & RST:
            if flow is not None:
                self._give_up(flow, seen)
            return None
        if flow is None:
            return self._midway(fresh, payload)
        if payload and not in_window(flow, fresh.first):
            if not self._begins(fresh, payload):
                return None
            self._give_up(flow, seen)
            self._follow(fresh, [])
            return fresh
        if payload and _is_unsure(flow) and distance(fresh.first, flow.first) < 0:
            return self._earlier(flow, fresh, payload)
        return flow

    def _take(self, packet: Packet, flow: Flow, piece: tuple[int, memoryview, int], seen: list[Seen]) -> None:
        advanced = self.streams.add(flow, *piece) or not piece[1]  # a SYN may come behind what it opens
        flow.time, flow.frame, flow.packet = packet.time, packet.frame, packet.packet
        if flow.contradicted:
            self._counters["contradicted"] += 1
            self.strays.take(flow.key)
            self.streams.refuse(flow)
        elif advanced:
            self._advance(flow, seen)
        if flow.key in self._flows:
            flow.packet = bytes(packet.packet)  # the capture's buffer is used again
            self._flows.move_to_end(flow.key)
            self.streams.account(flow)

    def _opened(self, fresh: Flow, flags: int, flow: Flow | None, seen: list[Seen]) -> Flow | None:
        """Follow what a SYN opens: the client's direction, and the server's where DNS answers come."""
        streams, before = self.streams, self.strays.take(fresh.key)
        if flags & ACK and fresh.source_port not in self._dns_ports:
            streams.remember(fresh.key, Settled("server", fresh.first, fresh.first))
            return None
        if flow is not None:
            if fresh.first == flow.first:
                flow.opened = True
                return flow  # sent once more, or late
            if _is_unsure(flow) and 0 < distance(flow.first, fresh.first) <= LARGEST_STREAM:
                before += flow.pieces()
            else:
                self._give_up(flow, seen)
        settled = streams.settled.get(fresh.key)
        if settled is not None and (settled.first == fresh.first or settled.holds(fresh.first)):
            return None  # the same, and all that it opened was read already, or is not believed
        fresh.state, fresh.opened = "dns" if self._is_dns(fresh) else "begins", True
        self._teller.reopened(_ends(fresh), fresh.first)
        self._follow(fresh, before)
        return fresh

    def _midway(self, fresh: Flow, payload: memoryview) -> Flow | None:
        """Follow a stream whose opening was not seen, if this segment may begin something; else keep it for one that may."""
        if not payload:
            return None
        if self._begins(fresh, payload):
            self._follow(fresh, self.strays.take(fresh.key))
            return fresh
        if fresh.key in self.strays.waiting or self._is_unknown(fresh):
            self.strays.keep(fresh.key, fresh.first, bytes(payload), fresh.time)
        elif fresh.key not in self.streams.settled:
            self.strays.bore(fresh.key)
        return None

    def _earlier(self, flow: Flow, fresh: Flow, payload: memoryview) -> Flow:
        """Take a segment that comes before what was taken for the beginning of *flow*."""
        if not self._begins(fresh, payload):
            self.strays.keep(fresh.key, fresh.first, bytes(payload), fresh.time)
            return flow
        self._follow(fresh, [*self.strays.take(fresh.key), *flow.pieces()])
        return fresh

    def _follow(self, fresh: Flow, before: Sequence[tuple[int, bytes]]) -> None:
        """Follow a stream, some of whose segments came *before* its beginning."""
        self.streams.open(fresh)
        for sequence, piece in before:
            ahead = distance(sequence, fresh.first)
            if (0 if fresh.opened else 1) <= ahead <= LARGEST_STREAM:
                self.streams.add(fresh, sequence, memoryview(piece), 0)
            elif ahead < 0 and not fresh.opened:  # this may not be the beginning yet
                self.strays.keep(fresh.key, sequence, piece, fresh.time)

    def _is_unknown(self, fresh: Flow) -> bool:
        """Return whether nothing tells what a segment's stream is, not even what the other side says."""
        other, answers = self.streams.settled.get(fresh.reverse), self._flows.get(fresh.reverse)
        return (
            fresh.key not in self.streams.settled
            and (other is None or other.role == "server")
            and (answers is None or answers.state == "server")
        )

    def _begins(self, fresh: Flow, payload: memoryview) -> bool:
        """Return whether a stream whose opening was not seen may begin with this segment; its state then says with what."""
        state = self._beginning(fresh, payload)
        fresh.state = state or fresh.state
        return state is not None

    def _beginning(self, fresh: Flow, payload: memoryview) -> State | None:
        """Return what a segment in the middle of a connection may begin; None: nothing, or nothing that its sender says."""
        settled, other = self.streams.settled.get(fresh.key), self.streams.settled.get(fresh.reverse)
        if settled is not None and self._is_sent_again(fresh, settled, payload):
            return None
        if self._is_dns(fresh):
            return "dns" if _may_be_dns(payload) else None
        role = settled.role if settled else None
        answers = self._flows.get(fresh.reverse)
        start = bytes(payload[: len(http2.PREFACE)])
        if certificates.is_server_hello(start):
            # A hello that was read has told the name, or opened this flow; the server of one that is being read waits for it.
            unheard = answers is None and (other is None or other.role != "tls")
            return "server" if unheard and role in (None, "server") else None
        if role == "server" or (answers is not None and answers.state != "server") or (other and other.role != "server"):
            return None  # what a server sends, be it a page about requests
        if tls.may_begin(start) and (len(start) >= SHORT or role is None or fresh.key in self.strays.waiting):
            return "begins"
        if role not in (None, "http"):
            return None
        if http2.begins(start) or http1.stands_alone(bytes(payload)):
            return "begins"
        return "socks" if start[0] in (socks.V4, socks.V5) and socks.is_request(bytes(payload)) else None

    def _is_sent_again(self, fresh: Flow, settled: Settled, payload: memoryview) -> bool:
        """Return whether a segment was read before. Where it says something else now, what was told of it is in doubt."""
        if not settled.holds(fresh.first):
            if distance(fresh.first, settled.next) > FORGOTTEN:
                self.streams.recent.pop(fresh.key, None)
            return False
        if self.streams.differs(fresh.key, fresh.first, payload):
            self._counters["contradicted"] += 1
        return True

    def _is_dns(self, flow: Flow) -> bool:
        return flow.source_port in self._dns_ports or flow.destination_port in self._dns_ports

    def _advance(self, flow: Flow, seen: list[Seen]) -> None:
        """Read as much of the stream as has come in."""
        for _ in range(MOST_MESSAGES):
            if flow.key not in self._flows:
                return
            if not flow.buffer or not self._steps[flow.state](flow, seen):
                break
        if flow.cut is not None and flow.key in self._flows:
            if not flow.buffer and distance(flow.next, flow.cut) >= 0:
                flow.cut = None  # the hole lies within a body, which is passed over in any case
            else:
                self._give_up(flow, seen)

    def _begin(self, flow: Flow, seen: list[Seen]) -> bool:
        """Tell what a stream begins with, and go on reading it as that; return whether there may be more in it."""
        stream = flow.buffer
        if stream[0] == tls.HANDSHAKE:
            return self._hello(flow, seen)
        http, two, proxy = http1.begins(stream), http2.begins(stream), socks.begins(stream)
        if http:
            return self._request(flow, seen)
        if two:
            flow.state, flow.role, flow.frames = "http2", "http", http2.Frames()
            self.streams.skip(flow, len(http2.PREFACE))
            return True
        if proxy:
            flow.state = "socks"
            self.streams.skip(flow, socks.greeting(stream))
            return True
        if None in (http, two, proxy):
            return False
        flow.state = "lines"
        return True

    def _hello(self, flow: Flow, seen: list[Seen]) -> bool:
        try:
            message, whole = tls.handshake(flow.buffer)
            if not whole:
                return False
            self.streams.settle(flow, "tls")
            hello = tls.read(message)
        except Undecodable:
            self._counters["tls_undecodable"] += 1
            self._is_nothing(flow)
            return False
        if self._teller.hello(flow, _ends(flow), hello, "t", seen, flow.next) and hello.name is None:
            self._expect_certificate(flow)
        return False

    def _expect_certificate(self, flow: Flow) -> None:
        """Follow the server's direction from the byte that the hello acknowledges: its certificate may tell the name."""
        self.streams.open(
            Flow(
                flow.reverse,
                flow.destination,
                flow.source,
                flow.destination_port,
                flow.source_port,
                flow.acknowledged,
                flow.acknowledged,
                flow.time,
                flow.frame,
                state="server",
                role="server",
            )
        )

    def _server(self, flow: Flow, seen: list[Seen]) -> bool:
        try:
            der = certificates.leaf(flow.buffer)
        except Undecodable:
            self.streams.settle(flow, "server")
            return False
        if der is not None:
            self.streams.settle(flow, "server")
            self._teller.certificate(flow, _ends(flow).turned, der, seen)
        return False

    def _request(self, flow: Flow, seen: list[Seen]) -> bool:
        end = http1.head_end(flow.buffer)
        if end is None:
            if len(flow.buffer) > http1.LARGEST_HEAD:
                flow.role = "http"
                self._give_up(flow, seen)
            return False
        request = http1.read(bytes(flow.buffer[:end]))
        if request is None:
            self._is_nothing(flow)
            return False
        flow.role = "http"
        self._teller.request(flow, _ends(flow), request, seen)
        self.streams.skip(flow, end)
        if request.chunked:
            flow.state = "chunks"
        elif request.length and request.method != "CONNECT":
            if request.length > LONGEST_BODY:
                self.streams.settle(flow, "http")
                return False
            self.streams.skip(flow, request.length)
        return True

    def _chunk(self, flow: Flow, _seen: list[Seen]) -> bool:
        step, size = http1.chunk(flow.buffer)
        if step == "broken":
            self.streams.settle(flow, "other")
        elif step != "more":
            flow.state = "trailers" if step == "end" else "chunks"
            self.streams.skip(flow, size)
        return step in ("skip", "end")

    def _trailer(self, flow: Flow, _seen: list[Seen]) -> bool:
        line_end = flow.buffer.find(b"\n")
        if line_end < 0:
            return False
        if not flow.buffer[:line_end].strip():
            flow.state = "begins"
        self.streams.skip(flow, line_end + 1)
        return True

    def _line(self, flow: Flow, seen: list[Seen]) -> bool:
        if flow.buffer[0] == tls.HANDSHAKE:
            return self._hello(flow, seen)
        size = starttls.line(flow.buffer)
        if size is None:
            return False
        if not size:
            self._is_nothing(flow)
            return False
        self.streams.skip(flow, size)
        return True

    def _socks(self, flow: Flow, seen: list[Seen]) -> bool:
        try:
            asked = socks.message(flow.buffer)
        except Undecodable:
            self._is_nothing(flow)
            return False
        if asked is None:
            return False
        self.streams.skip(flow, asked.size)
        flow.user = asked.user or flow.user
        if asked.request:
            self._teller.tunnel(flow, _ends(flow), asked, flow.user, seen)
            flow.state = "begins"
        return True

    def _frame(self, flow: Flow, seen: list[Seen]) -> bool:
        try:
            step = flow.frames.step(flow.buffer) if flow.frames else None
        except Undecodable:
            self._counters["http2_undecodable"] += 1
            self.streams.settle(flow, "other")
            return False
        if step is None:
            return False
        size, request = step
        if request is not None:
            self._teller.request(flow, _ends(flow), request, seen)
        self.streams.skip(flow, size)
        return True

    def _dns(self, flow: Flow, seen: list[Seen]) -> bool:
        stream = flow.buffer
        if len(stream) < 2:
            return False
        size = stream[0] << 8 | stream[1]
        if size < 12:
            self._counters["dns_undecodable"] += 1
            self.streams.settle(flow, "other")
            return False
        if len(stream) < 2 + size:
            return False
        self._teller.dns(flow, _ends(flow), bytes(stream[2 : 2 + size]), seen)
        self.streams.skip(flow, 2 + size)
        return True

    def _is_nothing(self, flow: Flow) -> None:
        """Take note that a stream says nothing that is read. It may have been the middle of something that begins late."""
        if _is_unsure(flow):
            for sequence, piece in flow.pieces():
                self.strays.keep(flow.key, sequence, piece, flow.time)
        self.streams.settle(flow, "other")

    def _give_up(self, flow: Flow, seen: list[Seen]) -> None:
        """Follow a flow no longer, and tell what is certain in what there is of it."""
        if flow.role == "other" and flow.state != "dns":  # it may yet turn out to be anything
            self.streams.forget(flow.key)
        else:
            self.streams.settle(flow, flow.role)
        self._rest_of(flow, seen)

    def _rest_of(self, flow: Flow, seen: list[Seen]) -> None:
        """Take what is certain from a hello or request whose end never came; a cut name is no name.

        What waited behind the hole is read like a connection whose beginning was not seen.
        """
        if flow.state == "server" and flow.buffer:
            self._counters["certificates_cut"] += 1
        if flow.state in ("server", "dns", "http2"):
            return
        if flow.buffer and flow.state in ("begins", "lines"):
            self._cut_short(flow, seen)
        for at, piece in flow.waiting or ():
            if len(piece) >= SHORT and (tls.may_begin(piece) or http1.stands_alone(piece)):
                self._salvage(flow, at, seen)

    def _salvage(self, flow: Flow, at: int, seen: list[Seen]) -> None:
        """Read on from a piece behind a hole."""
        piece = flow.waiting.pop(at) if flow.waiting else None
        if piece is None:
            return  # it was read with the one before
        flow.buffer.clear()
        flow.cut = None
        flow.first = flow.next = (flow.next + at - flow.at) & 0xFFFFFFFF
        flow.state, flow.at = "begins", at
        self._flows[flow.key] = flow
        self.streams.add(flow, flow.next, memoryview(piece), 0)
        self._advance(flow, seen)
        self.streams.forget(flow.key)
        if flow.buffer and flow.state == "begins":
            self._cut_short(flow, seen)

    def _cut_short(self, flow: Flow, seen: list[Seen]) -> None:
        stream = flow.buffer
        if stream[0] == tls.HANDSHAKE:
            try:
                hello = tls.read(tls.handshake(stream)[0])
            except Undecodable:
                return
            self._counters["hellos_cut"] += 1
            if hello.name is not None:
                self._teller.hello(flow, _ends(flow), hello, "t", seen, flow.next)
        elif http1.begins(stream):
            request = http1.read(bytes(stream), whole=False)
            if request is not None:
                self._counters["requests_cut"] += 1
                if request.host is not None:
                    self._teller.request(flow, _ends(flow), request, seen)


def _fresh(datagram: ip.Datagram, key: bytes, head: tuple[int, int, int], packet: Packet) -> Flow:
    """Return a flow that begins with a segment, of whose header *head* has both ports and the sequence number."""
    source, destination, sequence = head
    ends = (datagram.source, datagram.destination, source, destination)
    return Flow(key, *ends, sequence, sequence, packet.time, packet.frame)


def _goes_on(flow: Flow, sequence: int) -> bool:
    """Return whether a segment surely belongs to a flow that is followed."""
    ahead = distance(sequence, flow.next)
    return 0 <= ahead <= WINDOW or (-LARGEST_STREAM <= ahead < 0 and not _is_unsure(flow))


def _is_unsure(flow: Flow) -> bool:
    """Return whether a stream may have begun before what was taken for its beginning."""
    return not flow.opened and flow.untouched and flow.state in ("begins", "lines")


def _may_be_dns(payload: memoryview) -> bool:
    """Return whether a segment can begin with a DNS message over TCP: a length, an opcode of 0, one question."""
    return (
        len(payload) >= 14 and payload[0] << 8 | payload[1] >= 12 and not payload[4] & 0x78 and bytes(payload[6:8]) == b"\0\1"
    )


def _ends(flow: Flow) -> Ends:
    return Ends(flow.source, flow.source_port, flow.destination, flow.destination_port)
