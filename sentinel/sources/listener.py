"""Takes in what others send: syslog over UDP, TCP, TLS and Unix sockets, RELP, and dnstap.

One thread serves all of an endpoint's connections. Messages wait for at most a moment, so that one commit takes many; while
the engine is busy nothing is read, and senders over streams wait. What is not taken is counted by reason, and stands in the
coverage and the log. A position says until when it was listened: datagrams that came while nobody did are gone.
"""

from __future__ import annotations

import contextlib
import queue
import selectors
import socket
import ssl
import struct
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from sentinel.observation import ip_address
from sentinel.sources.batch import Position
from sentinel.sources.burst import Burst
from sentinel.sources.conversation import TOO_LONG, Conversation, Frames, Plain, Relp
from sentinel.sources.endpoint import SO_RXQ_OVFL, Endpoint
from sentinel.sources.framing import Desynchronised, one_line
from sentinel.sources.origins import Origins
from sentinel.sources.records import CHUNK

log = structlog.get_logger()

MOMENT_SECS = 0.05
"""How long a message may wait for others to be committed with."""

ACCOUNT_SECS = 5.0
"""How often it is written down that somebody listens, and what was refused."""

HANDSHAKE_SECS = 15.0
CLOSE_SECS = 4.0
"""How long at the end acknowledgements are waited for."""

PIECE = 64 * 1024
TURN = 4
"""Pieces that are read of one connection before the next has its turn."""

DATAGRAMS = 512
"""Datagrams that are read before the messages are looked at."""

MOST_WAITING = 2 * CHUNK
"""Bytes of messages from which on nothing more is read before they are handed over."""

MOST_REPLIES = 1024 * 1024
"""Bytes of replies that a sender may leave unread."""

MOST_SENDERS = 4096
"""Senders whose pace is remembered."""

NOT_ALLOWED = "from addresses that are not allowed"
TOO_MANY = "connections beyond the limit"
TOO_FAST = "datagrams beyond the rate limit"
DROPPED = "datagrams that the kernel dropped because Sentinel was too slow"
NO_TLS = "connections whose TLS handshake failed"
NONSENSE = "connections that did not speak the protocol"
UNREAD = "connections that did not read the replies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What senders may do. `per_sec` counts messages of one sender: streams are slowed down to it, datagrams refused."""

    connections: int = 200
    message_bytes: int = 64 * 1024
    per_sec: int = 50_000


@dataclass(slots=True)
class _Pace:
    """How many messages a sender may send now."""

    left: float
    at: float

    def takes(self, count: int, per_sec: int, now: float) -> bool:
        """Take *count* messages off; return whether that was within the limit."""
        self.left = min(float(per_sec), self.left + (now - self.at) * per_sec) - count
        self.at = now
        return self.left > 0


@dataclass(slots=True, eq=False)
class _Connection:
    socket: socket.socket
    sender: str
    talk: Conversation
    number: int
    shaking_until: float | None  # TLS: the handshake has to be done by then (monotonic)
    paused_until: float = 0.0
    tickets: list[int] = field(default_factory=list)  # of messages that wait in the next burst
    owed: int = 0  # messages that are handed over and not committed
    writes: bool = False


class Listener:
    """One endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits | None = None,
        *,
        format: str | None = None,  # noqa: A002
        zone: str | None = None,
    ) -> None:
        """Name the endpoint; nothing is opened yet.

        Args:
            endpoint: Where senders come to.
            limits: What they may do.
            format: The format's name, when it is not to be told from the records.
            zone: IANA name of the zone of times that carry none.
        """
        self.path = endpoint.name
        self.key = f"listener:{endpoint.name}"
        self.port: int | None = None  # once it is open
        self.endpoint = endpoint
        self._limits = limits or Limits()
        self._format = "dnstap" if endpoint.speaks == "dnstap" else format
        self._zone = zone
        self._selector = selectors.DefaultSelector()
        self._connections: dict[socket.socket, _Connection] = {}
        self._hungry: set[_Connection] = set()  # with bytes that the kernel does not tell of any more
        self._paces: OrderedDict[str, _Pace] = OrderedDict()
        self._committed: queue.SimpleQueue[list[tuple[_Connection, list[int]]]] = queue.SimpleQueue()
        self._refused: Counter[str] = Counter()
        self._last: dict[str, str] = {}  # reason -> whom it met last, and why
        self._numbers = 0
        self._dropped = 0  # datagrams, as the kernel counts them

    def batches(self, stop: threading.Event, positions: Mapping[str, Position]) -> Iterator[Burst]:
        """Yield what comes in, until *stop*, and every few seconds the account.

        Raises:
            OSError: The endpoint cannot be opened, or a certificate or key cannot be read.
        """
        origins = Origins(self.path, positions, lines=self._format != "dnstap", format=self._format, zone=self._zone)
        context = self.endpoint.keys.context() if self.endpoint.keys else None
        notes = self._gap(positions.get(self.key, {}).get("until"))
        listening = self.endpoint.opened()
        waker, wake = socket.socketpair()
        waker.setblocking(False)
        try:
            if self.endpoint.path is None:
                self.port = listening.getsockname()[1]
            self._selector.register(listening, selectors.EVENT_READ)
            self._selector.register(waker, selectors.EVENT_READ)
            log.info("listening", endpoint=self.path)
            told, since = float("-inf"), None
            while not stop.is_set():
                self._serve(listening, waker, context, origins)
                now = time.monotonic()
                since = (since or now) if origins.size else None
                due = since is not None and (now - since >= MOMENT_SECS or origins.size >= CHUNK)
                account = now - told >= ACCOUNT_SECS
                if due or account:
                    yield self._burst(origins, wake, account=account, notes=notes)
                    notes, told, since = (), now if account else told, None
            yield from self._rest(listening, origins, wake)
        finally:
            self._close_all(listening, waker, wake)

    # What comes in.

    def _serve(self, listening: socket.socket, waker: socket.socket, context: ssl.SSLContext | None, origins: Origins) -> None:
        """Take what is there, and wait a moment for it when nothing is."""
        ready = self._selector.select(0 if self._hungry else MOMENT_SECS / 2)
        for key, events in ready:
            if key.fileobj is waker:
                with contextlib.suppress(BlockingIOError):
                    waker.recv(4096)
            elif key.fileobj is listening:
                if self.endpoint.datagrams:
                    self._take_datagrams(listening, origins)
                else:
                    self._accept(listening, context)
            else:
                connection: _Connection = key.data
                if events & selectors.EVENT_WRITE:
                    self._send(connection)
                if connection.socket in self._connections:
                    self._read(connection, origins)
        for connection in list(self._hungry):
            self._read(connection, origins)
        self._acknowledge()
        self._look_after(time.monotonic())

    def _take_datagrams(self, listening: socket.socket, origins: Origins) -> None:
        for _ in range(DATAGRAMS):
            try:
                data, extra, flags, address = listening.recvmsg(self._limits.message_bytes + 1, 64)
            except BlockingIOError:
                return
            self._count_dropped(extra)
            sender = self._sender(address)
            if not self.endpoint.allows(sender):
                self._refused[NOT_ALLOWED] += 1
            elif not self._within_rate(sender, 1):
                self._refused[TOO_FAST] += 1
            elif flags & socket.MSG_TRUNC or len(data) > self._limits.message_bytes:
                self._refused[TOO_LONG] += 1
            else:
                for message in one_line(data):
                    origins.add(sender, message, None)

    def _count_dropped(self, extra: list[tuple[int, int, bytes]]) -> None:
        for level, kind, value in extra:
            if (level, kind) == (socket.SOL_SOCKET, SO_RXQ_OVFL) and len(value) == 4:
                (dropped,) = struct.unpack("=I", value)
                self._refused[DROPPED] += (dropped - self._dropped) & 0xFFFFFFFF
                self._dropped = dropped

    def _accept(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        try:
            accepted, address = listening.accept()
        except OSError:  # it went away again, or there are too many open files: others are served, and it is tried again
            time.sleep(MOMENT_SECS / 5)
            return
        sender = self._sender(address)
        refused = None
        if not self.endpoint.allows(sender):
            refused = NOT_ALLOWED
        elif len(self._connections) >= self._limits.connections:
            refused = TOO_MANY
        if refused:
            self._refused[refused] += 1
            self._last[refused] = sender
            accepted.close()
            return
        accepted.setblocking(False)
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a sender that lost its power says no farewell
        until = None
        if context is not None:
            try:
                accepted = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
            except OSError:  # it went away again
                accepted.close()
                return
            until = time.monotonic() + HANDSHAKE_SECS
        self._numbers += 1
        connection = _Connection(accepted, sender, self._conversation(), self._numbers, until)
        self._connections[accepted] = connection
        self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _conversation(self) -> Conversation:
        most = self._limits.message_bytes
        if self.endpoint.speaks == "relp":
            return Relp(most)
        return Frames(most) if self.endpoint.speaks == "dnstap" else Plain(most)

    def _read(self, connection: _Connection, origins: Origins) -> None:
        self._hungry.discard(connection)
        if connection.paused_until > time.monotonic():
            return
        if origins.size >= MOST_WAITING:
            self._hungry.add(connection)
            return
        if connection.shaking_until is not None and not self._shaken(connection):
            return
        for _ in range(TURN):
            try:
                data = connection.socket.recv(PIECE)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:  # reset, or TLS without a farewell
                data = b""
            if not self._taken(connection, data, origins):
                return
        self._hungry.add(connection)  # what TLS has decrypted already, the kernel does not tell of

    def _taken(self, connection: _Connection, data: bytes, origins: Origins) -> bool:
        """Take some bytes, none at the end of the stream; return whether more may follow."""
        talk = connection.talk
        try:
            messages = talk.take(data) if data else talk.end()
        except Desynchronised as error:
            self._refuse(connection, NONSENSE, str(error))
            return False
        self._refused += talk.refused
        talk.refused.clear()
        again = connection.number if self.endpoint.speaks == "relp" else None
        for message, ticket in messages:
            if message:
                origins.add(connection.sender, message, again)
            if ticket is not None:
                connection.tickets.append(ticket)
        if not data:
            self._close(connection)
            return False
        self._send(connection)
        if not self._within_rate(connection.sender, len(messages)):
            self._pause(connection)
            return False
        return connection.socket in self._connections

    def _shaken(self, connection: _Connection) -> bool:
        assert isinstance(connection.socket, ssl.SSLSocket)
        try:
            connection.socket.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            self._refuse(connection, NO_TLS, str(error))
            return False
        connection.shaking_until = None
        return True

    # Limits.

    def _within_rate(self, sender: str, count: int) -> bool:
        now = time.monotonic()
        pace = self._paces.get(sender)
        if pace is None:
            pace = self._paces[sender] = _Pace(float(self._limits.per_sec), now)
            if len(self._paces) > MOST_SENDERS:
                self._paces.popitem(last=False)
        return pace.takes(count, self._limits.per_sec, now)

    def _pause(self, connection: _Connection) -> None:
        """Read nothing of a connection until its sender may send again."""
        behind = -self._paces[connection.sender].left
        connection.paused_until = time.monotonic() + max(MOMENT_SECS, behind / self._limits.per_sec)
        self._selector.unregister(connection.socket)

    def _look_after(self, now: float) -> None:
        """Go on with connections that were paused, and end those that do not get on with the handshake."""
        for connection in list(self._connections.values()):
            if connection.shaking_until is not None and now > connection.shaking_until:
                self._refuse(connection, NO_TLS, "the handshake took too long")
            elif connection.paused_until and now >= connection.paused_until:
                connection.paused_until = 0.0
                connection.writes = False
                self._selector.register(connection.socket, selectors.EVENT_READ, connection)
                self._hungry.add(connection)
                self._send(connection)

    def _refuse(self, connection: _Connection, reason: str, why: str) -> None:
        self._refused[reason] += 1
        self._last[reason] = f"{connection.sender}: {why}"
        self._close(connection)

    # What goes out.

    def _acknowledge(self) -> None:
        """Send the replies to all that was committed since the last time."""
        with contextlib.suppress(queue.Empty):
            while True:
                for connection, tickets in self._committed.get_nowait():
                    connection.owed -= len(tickets)
                    if connection.socket in self._connections:
                        connection.talk.acknowledge(tickets)
                        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        replies = connection.talk.replies
        try:
            while replies and connection.shaking_until is None:
                sent = connection.socket.send(replies)
                del replies[:sent]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self._close(connection)
            return
        if len(replies) > MOST_REPLIES:
            self._refuse(connection, UNREAD, "it does not read the replies")
        elif connection.talk.over and not replies:
            self._close(connection)
        elif not connection.paused_until and bool(replies) != connection.writes:
            connection.writes = bool(replies)
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if replies else 0)
            self._selector.modify(connection.socket, events, connection)

    def _close(self, connection: _Connection) -> None:
        if self._connections.pop(connection.socket, None) is None:
            return
        self._hungry.discard(connection)
        if not connection.paused_until:
            self._selector.unregister(connection.socket)
        connection.socket.close()

    # What is handed over.

    def _burst(self, origins: Origins, wake: socket.socket, *, account: bool, notes: tuple[str, ...] = ()) -> Burst:
        owed = []
        for connection in self._connections.values():
            if connection.tickets:
                owed.append((connection, connection.tickets))
                connection.owed += len(connection.tickets)
                connection.tickets = []

        def committed() -> None:
            if owed:
                self._committed.put(owed)
                with contextlib.suppress(OSError):  # the listener has ended meanwhile
                    wake.send(b"\0")

        refused: Counter[str] = Counter()
        if account and (refused := +self._refused):
            log.warning("refused", endpoint=self.path, counts=dict(refused), last=self._last)
            self._refused, self._last = Counter(), {}
        batches = origins.taken()
        position = {"until": datetime.now(UTC).isoformat()}
        return Burst(self.key, self.path, batches, position, committed, not batches, refused, notes)

    def _rest(self, listening: socket.socket, origins: Origins, wake: socket.socket) -> Iterator[Burst]:
        """At the end, take what has arrived by now, and wait for its commit, so that its senders learn of it."""
        if self.endpoint.datagrams:
            self._take_datagrams(listening, origins)
        elif self.endpoint.speaks != "relp":  # RELP's senders keep what is not acknowledged
            for connection in list(self._connections.values()):
                self._read(connection, origins)
        yield self._burst(origins, wake, account=True)
        until = time.monotonic() + CLOSE_SECS
        while time.monotonic() < until and any(one.owed or one.talk.replies for one in self._connections.values()):
            self._acknowledge()
            for connection in list(self._connections.values()):
                self._send(connection)
            time.sleep(MOMENT_SECS / 5)

    def _close_all(self, listening: socket.socket, waker: socket.socket, wake: socket.socket) -> None:
        for connection in list(self._connections.values()):
            self._close(connection)
        self._selector.close()
        for one in (listening, waker, wake):
            one.close()
        if self.endpoint.path is not None:
            self.endpoint.path.unlink(missing_ok=True)

    def _sender(self, address: object) -> str:
        """Return a sender's address; for a Unix socket the socket's own, as its senders have none."""
        if self.endpoint.path is not None or not isinstance(address, tuple):
            return str(self.endpoint.path)
        return ip_address(address[0]) or str(address[0])

    def _gap(self, until: str | None) -> tuple[str, ...]:
        """Say since when nobody listened, where senders may not have kept what they had."""
        if until is None or self.endpoint.speaks == "relp":
            return ()
        since, now = datetime.fromisoformat(until), datetime.now(UTC)
        why = "Sentinel was not running, or was reloading"
        return (f"nobody listened from {since:%Y-%m-%d %H:%M:%S} to {now:%Y-%m-%d %H:%M:%S} UTC: {why}",)
