"""Connections to names of interest: when, how much each way, and in which bursts the client sent.

A photo that goes up is a burst of hundreds of kilobytes; a page view, or a connection that was made ahead of a click, is not.
A connection is told when it is over: closed, quiet for `IDLE`, or cut by the end of the capture.

Its name is what its own hello or request says. One without either gets the name that its client last resolved the server's
address to, marked as inferred, and only if that address served the client no other name.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sentinel.observation import Observation
from sentinel.packets.flow_spans import PAUSE, Span
from sentinel.packets.resolved import Resolved
from sentinel.packets.seen import Seen, Unconcerning
from sentinel.packets.tcp import ACK, FIN, RST, SYN, reversed_key

IDLE = 120 * 1_000_000_000
LINGER = 1_000_000_000
"""ns. How long after its end packets may still belong to a connection."""
MOST_CONNECTIONS = 65_536
MOST_HELD = 32 * 1024 * 1024
"""Bytes that connections under way may take, their first packets included: strangers decide how many and how large they are."""
CONNECTION, BURST = 1200, 200
"""What a connection costs beyond its packet, and a burst; measured with Python 3.11."""
MOST_SERVED = 65_536
MOST_BURSTS = 64
"""Of one direction of a connection; the largest are kept."""
UNDECIDED = 64
"""Packets of one direction after which a connection that nothing is known of is no longer counted."""
NAMING = frozenset({"tls_client_hello", "quic_client_hello", "proxy_connect", "http_request"})

Wanted = Callable[[Observation], bool]
"""Whether connections to what an observation names are of interest."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Side:
    """What one end sent; a burst is its beginning and end in ns, and its bytes."""

    size: int = 0
    packets: int = 0
    capture: int = 0  # where it was seen last, and until when
    last: int = 0
    finished: bool = False
    bursts: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, span: Span, capture: int) -> None:
        if capture != self.capture and self.packets and span.first <= self.last:
            return  # two captures of the same
        self.capture, self.last = capture, max(self.last, span.last)
        self.size += span.size
        self.packets += span.packets
        self.finished = self.finished or bool(span.flags & FIN)
        if not span.size:
            return
        if self.bursts and span.first - self.bursts[-1][1] <= PAUSE:
            first, last, size = self.bursts[-1]
            self.bursts[-1] = (first, max(last, span.last), size + span.size)
        else:
            self.bursts.append((span.first, span.last, span.size))
        if len(self.bursts) > MOST_BURSTS:
            self.bursts.remove(min(self.bursts[:-1], key=lambda burst: burst[2]))


@dataclass(slots=True)
class _Connection:
    """Two sides; the first is the end that spoke first, until it is known which one is the client."""

    ends: bytes  # in the direction of the first packet
    tcp: bool
    first: int
    last: int
    frame: int
    packet: bytes
    path: str | None
    client_first: bool | None = None
    sides: tuple[_Side, _Side] = field(default_factory=lambda: (_Side(), _Side()))
    seen: Seen | None = None  # what named it
    told: int = 0  # bytes of request bodies that observations of their own tell
    mixed: bool = False  # it bore several names, or none for long: whose bytes they are cannot be told
    over: bool = False
    held: int = 0  # bytes accounted for

    @property
    def key(self) -> bytes:
        """What it is found by, from either direction."""
        return _key(self.ends, self.tcp)


class FlowBook:
    """The connections that are under way, over all captures of one investigation."""

    def __init__(self, resolved: Resolved, wanted: Wanted, *, most: int = MOST_CONNECTIONS, every_packet: bool = True) -> None:
        """Start with none.

        Args:
            resolved: Which names each client was answered an address for.
            wanted: Whether connections to what an observation names are of interest.
            most: How many connections may be under way; beyond that, those that were quiet longest are told as they are.
            every_packet: Whether all packets come, so that their number may be told.
        """
        self._most = most
        self._every_packet = every_packet
        self._resolved = resolved
        self._wanted = wanted
        self._under_way: OrderedDict[bytes, _Connection] = OrderedDict()
        self._over: set[bytes] = set()
        self._named: set[bytes] = set()
        self._served: OrderedDict[bytes, str | None] = OrderedDict()
        self._done: list[Seen] = []
        self._held = 0
        self.path: str | None = None  # of the capture that is being read

    def __len__(self) -> int:
        """Return how many connections are under way."""
        return len(self._under_way)

    @property
    def waiting(self) -> bool:
        """Whether connections of interest are still under way."""
        return bool(self._named)

    def knows(self, ends: bytes) -> bool:
        """Return whether a TCP connection between *ends*, in either direction, is under way."""
        return _key(ends, True) in self._under_way

    def __contains__(self, ends: object) -> bool:
        """Return what `knows` does."""
        return isinstance(ends, bytes) and self.knows(ends)

    def may_tell(self, ends: bytes, time: int) -> bool:
        """Return whether the first of *ends* had resolved a name to the second one's address at *time* (ns)."""
        half = (len(ends) - 4) // 2
        return bool(self._resolved.names_for(ends[:half], ends[half : 2 * half], time))

    def opened(self, ends: bytes) -> None:
        """Take note of a SYN from the first of *ends*: what was said between them before belongs to another connection."""
        known = self._under_way.get(_key(ends, True))
        if known is not None and (known.over or known.sides[0].size or known.sides[1].size):
            self._close(known)

    def named(self, ends: bytes, seen: Seen) -> bool:
        """Take note of what a packet between *ends*, either way, named; return whether its connection is of interest."""
        named = seen.observation
        if named.kind not in NAMING or named.name is None:
            return True  # it may be told by its address
        at, tcp, forward = _nanoseconds(named.time), named.kind != "quic_client_hello", _forward(ends, named.client_port)
        known = self._named_at(ends, forward, tcp, at, named.name)
        wanted = self._wanted(named)
        if known is None:
            if not wanted:
                return False
            known = self._open(ends, tcp, at, seen.frame, seen.packet)
        if not wanted or (known.seen is not None and known.seen.observation.name != named.name):
            known.mixed = True
            return False
        known.client_first = forward == (known.ends == ends)
        if known.seen is None:
            known.seen, known.frame, known.packet, known.path = seen, seen.frame, seen.packet, self.path
            self._named.add(known.key)
            self._account(known)
        if named.kind == "http_request":
            known.told += named.bytes_up or 0
        return True

    def named_otherwise(self, ends: bytes, named: Unconcerning) -> None:
        """Take note that a packet between *ends*, either way, named a host that is of no interest."""
        at = named.time // 1000 * 1000
        known = self._named_at(ends, _forward(ends, named.client_port), named.tcp, at, named.name)
        if known is not None:
            known.mixed = True

    def _named_at(self, ends: bytes, forward: bool, tcp: bool, at: int, name: str) -> _Connection | None:
        """Remember which name an address served, and return the connection, if it was under way by then."""
        half = (len(ends) - 4) // 2
        self._serve(ends[: 2 * half] if forward else ends[half : 2 * half] + ends[:half], name)
        known = self._under_way.get(_key(ends, tcp))
        if known is not None and at - known.last > IDLE:
            self._close(known)
            return None
        return known

    def take(self, span: Span, frame: int, packet: bytes, capture: int = 0) -> bool:
        """Count *span*, whose first packet is *packet*, number *frame*; return whether its connection may be of interest.

        *capture* tells captures apart that are read at the same time: what two of them saw counts once.
        """
        known = self._under_way.get(_key(span.ends, span.tcp))
        opens = span.flags & (SYN | ACK) == SYN
        if known is not None and span.first - known.last > IDLE:
            self._close(known)
            known = None
        if known is None:
            known = self._open(span.ends, span.tcp, span.first, frame, packet)
        forward = known.ends == span.ends
        side = known.sides[not forward]
        side.add(span, capture)
        known.first, known.last = min(known.first, span.first), max(known.last, span.last)
        if opens:
            known.client_first = forward
        if span.flags & RST or (known.sides[0].finished and known.sides[1].finished):
            known.over = True
            self._over.add(known.key)
        self._under_way.move_to_end(known.key)
        self._account(known)
        if known.seen is None and side.packets > UNDECIDED and self._told_by_address(known) is None:
            known.mixed = True  # nothing is known of it, and nothing will be
        return not known.mixed

    def ended(self, now: int) -> list[Seen]:
        """Return the connections that are over at *now* (ns), the time of the latest packet."""
        for key in sorted(self._over):
            known = self._under_way[key]
            if now - known.last > LINGER:
                self._close(known)
        while self._under_way:
            oldest = next(iter(self._under_way.values()))
            if now - oldest.last <= IDLE:
                break
            self._close(oldest)
        done, self._done = self._done, []
        return done

    def finish(self) -> list[Seen]:
        """Return the connections that the end of the last capture cuts."""
        for known in list(self._under_way.values()):
            self._close(known)
        done, self._done = self._done, []
        return done

    def _open(self, ends: bytes, tcp: bool, at: int, frame: int, packet: bytes) -> _Connection:
        known = _Connection(ends, tcp, at, at, frame, packet, self.path)
        self._under_way[known.key] = known
        self._account(known)
        return known

    def _account(self, known: _Connection) -> None:
        """Count what a connection takes, and tell those that were quiet longest as they are while there is too much of it."""
        held = CONNECTION + len(known.packet) + BURST * sum(len(side.bursts) for side in known.sides)
        self._held += held - known.held
        known.held = held
        while self._held > MOST_HELD or len(self._under_way) > self._most:
            oldest = next(iter(self._under_way.values()))
            if oldest is known:
                return
            self._close(oldest)

    def _forget(self, known: _Connection) -> None:
        if self._under_way.pop(known.key, None) is not None:
            self._held -= known.held
            known.held = 0
        self._over.discard(known.key)
        self._named.discard(known.key)

    def _serve(self, there: bytes, name: str) -> None:
        """Remember that an address served a client a name; None once there were several."""
        self._served[there] = name if self._served.get(there, name) == name else None
        self._served.move_to_end(there)
        if len(self._served) > MOST_SERVED:
            self._served.popitem(last=False)

    def _told_by_address(self, known: _Connection) -> Observation | None:
        """Return what a connection without a name of its own is by its server's address; None when that tells nothing."""
        half = (len(known.ends) - 4) // 2
        for forward in (True, False) if known.client_first is None else (known.client_first,):
            ends = known.ends if forward else reversed_key(known.ends)
            client, server = ends[:half], ends[half : 2 * half]
            names = self._resolved.names_for(client, server, known.first)
            if len(names) != 1:
                continue
            (name,) = names
            told = self._observation(known, ends, name, inferred=True)
            if self._served.get(client + server, name) == name and self._wanted(told):
                return told
        return None

    def _close(self, known: _Connection) -> None:
        self._forget(known)
        if known.mixed:
            return
        told = None
        if known.seen is None:
            told = self._told_by_address(known)
        elif known.sides[0].packets or known.sides[1].packets:
            ends = known.ends if known.client_first else reversed_key(known.ends)
            told = self._observation(known, ends, known.seen.observation.name, inferred=False)
        if told is not None:
            self._done.append(Seen(told, known.frame, known.packet, known.path))

    def _observation(self, known: _Connection, ends: bytes, name: str | None, *, inferred: bool) -> Observation:
        half = (len(ends) - 4) // 2
        up, down = known.sides if ends == known.ends else known.sides[::-1]
        return Observation(
            time=_EPOCH + timedelta(microseconds=known.first // 1000),
            kind="flow",
            client=str(ipaddress.ip_address(ends[:half])),
            client_port=int.from_bytes(ends[-4:-2], "big"),
            server=str(ipaddress.ip_address(ends[half : 2 * half])),
            server_port=int.from_bytes(ends[-2:], "big"),
            name=name,
            name_inferred=inferred,
            bytes_up=max(0, up.size - known.told) if up.packets else None,  # a mirror may show one direction only
            bytes_down=down.size if down.packets or down.size else None,
            packets_up=(up.packets or None) if self._every_packet else None,
            packets_down=(down.packets or None) if self._every_packet else None,
            duration=(known.last - known.first) / 1_000_000_000,
            bursts=tuple(((first - known.first) / 1_000_000_000, size) for first, _last, size in up.bursts),
        )


def _forward(ends: bytes, client_port: int | None) -> bool:
    """Return whether a packet between *ends* came from the client."""
    return int.from_bytes(ends[-4:-2], "big") == client_port


def _key(ends: bytes, tcp: bool) -> bytes:
    return bytes([tcp]) + min(ends, reversed_key(ends))


def _nanoseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000
