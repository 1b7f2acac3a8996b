"""A connection over TCP or TLS to a receiver that never answers: syslog's and GELF's.

`send` returns when the receiver's machine has acknowledged every byte and has not closed the connection. What it had
acknowledged and not yet read when it was stopped is sent again on the next connection, whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONNECT_SECS = 5.0
WRITE_SECS = 5.0

REFUSAL_SECS = 0.5
"""How long to listen after the first write on a connection: with TLS 1.3 the refusal of our certificate comes after it."""

ACKNOWLEDGE_SECS = 5.0
"""How long the receiver's machine may take to acknowledge what was written. Behind a firewall that forgot us it never does."""

RECENT_SECS = 60.0
"""What was written so long ago is taken as read when the receiver closes: it is not sent again."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How TLS is spoken: whom to trust (left out, the machine's certificates), who we are, and the name to expect."""

    server_name: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class Stream:
    """One connection, made when something is to be sent, and kept."""

    def __init__(self, address: tuple[str, int], trust: Trust | None) -> None:
        """Connect to nothing yet. *trust*: speak TLS so; None: plain TCP."""
        self._address = address
        self._trust = trust
        self._socket: socket.socket | None = None
        self._last: Sequence[bytes] = []
        self._last_sent = 0.0

    def send(self, frames: Sequence[bytes]) -> None:
        """Send *frames*, after those that a receiver may have lost when it closed the last connection.

        Raises:
            OSError: It was not acknowledged (ssl.SSLError, socket.gaierror and TimeoutError are some); all is to be sent again.
        """
        try:
            self._send(frames)
        except OSError:
            self.drop()
            raise

    def close(self) -> None:
        """Close the connection in order."""
        if isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._socket.settimeout(REFUSAL_SECS)
                self._socket.unwrap()  # RFC 5425 asks the sender for close_notify
        self.drop()

    def drop(self) -> None:
        """Let go of the connection as it is."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _send(self, frames: Sequence[bytes]) -> None:
        if self._socket is not None and not alive(self._socket):
            self.drop()
        fresh, again = self._socket is None, []
        if self._socket is None:
            self._socket = self._connected()
            again = list(self._last) if time.monotonic() - self._last_sent < RECENT_SECS else []
        for one in [*again, *frames]:
            if not alive(self._socket):  # a write to a connection that the receiver closed succeeds, and is lost
                raise ConnectionResetError(0, "the receiver closed the connection")
            self._socket.sendall(one)
        _wait_for_acknowledgement(self._socket)
        if fresh:
            _listen_for_refusal(self._socket)
        self._last, self._last_sent = frames, time.monotonic()

    def _connected(self) -> socket.socket:
        made = socket.create_connection(self._address, timeout=CONNECT_SECS)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._trust is not None:
                made = _secured(made, self._trust)
            made.settimeout(WRITE_SECS)
        except BaseException:
            made.close()
            raise
        return made


def _secured(plain: socket.socket, trust: Trust) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=trust.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if trust.cert_file is not None:
        # Without a password function OpenSSL would ask the terminal for one.
        context.load_cert_chain(trust.cert_file, trust.key_file, password=lambda: b"")
    return context.wrap_socket(plain, server_hostname=trust.server_name)


def alive(connection: socket.socket) -> bool:
    """Return False when the receiver has closed or refused the connection. It never sends anything else."""
    try:
        check(connection)
    except OSError:
        return False
    return True


def check(connection: socket.socket) -> None:
    """Raise what the connection has come to.

    Raises:
        OSError: It was closed, reset or refused; of TLS, with the alert that the receiver sent.
    """
    timeout = connection.gettimeout()
    connection.settimeout(0)
    try:
        if not connection.recv(1) and connection.type == socket.SOCK_STREAM:
            raise ConnectionResetError(0, "the receiver closed the connection")
    except (BlockingIOError, ssl.SSLWantReadError):
        return
    finally:
        connection.settimeout(timeout)


def _wait_for_acknowledgement(connection: socket.socket) -> None:
    """Return when the receiver's machine has acknowledged every byte.

    Raises:
        OSError: It did not in time, or the receiver closed the connection.
    """
    deadline = time.monotonic() + ACKNOWLEDGE_SECS
    while _unacknowledged(connection):
        if time.monotonic() > deadline:
            raise TimeoutError(0, "the receiver's machine does not acknowledge what was sent")
        time.sleep(0.002)
    check(connection)


def _listen_for_refusal(connection: socket.socket) -> None:
    """Return when the receiver has let a moment pass without closing the connection.

    Raises:
        OSError: It closed it.
    """
    readable, deadline = select.poll(), time.monotonic() + REFUSAL_SECS
    readable.register(connection, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if readable.poll(left * 1000):
            check(connection)  # session tickets make a healthy connection readable as well


def _unacknowledged(connection: socket.socket) -> int:
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])
