"""Syslog: RFC 5424 messages over UDP, TCP or TLS (RFC 5425), carrying CEF or ECS JSON.

    <35>1 2026-11-23T05:00:10.123Z collector-1 sentinel 812 opened [sentinel@32473 id="al_…"] CEF:0|…

No receiver answers, so `Delivered` means: over UDP, that the datagrams left; over TCP and TLS, that the receiver's machine has
acknowledged every byte and has not closed the connection. What a receiver had acknowledged and not yet read when it was
stopped is sent again when it is back, with the same id. There is no byte order mark before the message: rsyslog would keep it,
and the CEF parser behind it would not find `CEF:`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from sentinel.schemas.text import stamp
from sentinel.sinks.kind import SinkKind, SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Outcome, Retry

CONNECT_SECS = 5.0
WRITE_SECS = 5.0

REFUSAL_SECS = 0.5
"""How long to listen after the first write on a connection: with TLS 1.3 the refusal of our certificate comes after it."""

ACKNOWLEDGE_SECS = 5.0
"""How long the receiver's machine may take to acknowledge what was written. Behind a firewall that forgot us it never does."""

RECENT_SECS = 60.0
"""What was written so long ago is taken as read when the receiver closes: it is not sent again."""

HEADER_ROOM = 448
"""Bytes that everything before the message takes at most."""

FACILITIES = {"user": 1, "auth": 4, "authpriv": 10, "audit": 13} | {f"local{number}": 16 + number for number in range(8)}

_CONTROLS = bytes(max(byte, 0x20) for byte in range(256))


class SyslogSettings(SinkSettings):
    """A syslog server."""

    type: Literal["syslog"]
    host: str = Field(min_length=1, description="The server's name or address.")
    port: int | None = Field(None, ge=1, le=65535, description="Left out: 6514 with TLS, else 514.")
    transport: Literal["udp", "tcp", "tls"] = Field("tls", description="UDP loses alerts without anyone noticing.")
    framing: Literal["octet", "lf"] = Field(
        "octet", description="How messages are told apart on TCP; 'lf' for syslog-ng's network(). TLS always counts octets."
    )
    facility: Literal[
        "user", "auth", "authpriv", "audit", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
    ] = Field("local0", description="The syslog facility.")
    max_bytes: int = Field(8192, ge=2560, le=65000, description="Longest message; longer ones lose descriptions, never ids.")
    ca_file: Path | None = Field(None, description="TLS: certificates (PEM) to trust; left out, the machine's.")
    cert_file: Path | None = Field(None, description="TLS: our own certificate (PEM), for servers that ask for one.")
    key_file: Path | None = Field(None, description="TLS: the key of cert_file (PEM); left out, it is in cert_file.")
    server_name: str | None = Field(None, description="TLS: the name in the server's certificate; left out, `host`.")
    schema_: Literal["cef", "ecs", "json"] = Field("cef", alias="schema", description="How alerts are written.")

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in."""
        return self.schema_

    @property
    def room(self) -> int:
        """Bytes that a document may have."""
        return self.max_bytes - HEADER_ROOM

    @property
    def address(self) -> tuple[str, int]:
        """Where the server listens."""
        return self.host, self.port or (6514 if self.transport == "tls" else 514)

    @model_validator(mode="after")
    def _tls_has_its_settings_alone(self) -> Self:
        given = [name for name in ("ca_file", "cert_file", "key_file", "server_name") if getattr(self, name) is not None]
        if given and self.transport != "tls":
            raise ValueError(f"{given[0]!r} is for transport: tls")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("'key_file' is given without 'cert_file'")
        if self.transport != "tcp" and self.framing != "octet":
            raise ValueError("'framing' is for transport: tcp")
        return self


class SyslogSink:
    """Sends to one server, over one connection that is kept."""

    def __init__(self, settings: SyslogSettings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._hostname = socket.gethostname()
        self._socket: socket.socket | None = None
        self._last: list[bytes] = []
        self._last_sent = 0.0

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Send *documents*; on any trouble all of them are to be tried again, on a new connection."""
        messages = [message(document, FACILITIES[self._settings.facility], self._hostname) for document in documents]
        try:
            if self._settings.transport == "udp":
                self._send_datagrams(messages)
            else:
                self._send_frames([frame(one, self._settings.framing) for one in messages])
        except OSError as error:  # ssl.SSLError, socket.gaierror and TimeoutError are some
            self._drop()
            host, port = self._settings.address
            return [Retry(f"{host}:{port}: {error.strerror or error}")] * len(documents)
        return [Delivered()] * len(documents)

    def close(self) -> None:
        """Close the connection in order."""
        if isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._socket.settimeout(REFUSAL_SECS)
                self._socket.unwrap()  # RFC 5425 asks the sender for close_notify
        self._drop()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _send_frames(self, frames: list[bytes]) -> None:
        if self._socket is not None and not alive(self._socket):
            self._drop()
        fresh, again = self._socket is None, []
        if self._socket is None:
            self._socket = self._connected()
            again = self._last if time.monotonic() - self._last_sent < RECENT_SECS else []
        for one in again + frames:
            if not alive(self._socket):  # a write to a connection that the receiver closed succeeds, and is lost
                raise ConnectionResetError(0, "the receiver closed the connection")
            self._socket.sendall(one)
        _wait_for_acknowledgement(self._socket)
        if fresh:
            _listen_for_refusal(self._socket)
        self._last, self._last_sent = frames, time.monotonic()

    def _connected(self) -> socket.socket:
        made = socket.create_connection(self._settings.address, timeout=CONNECT_SECS)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._settings.transport == "tls":
                made = self._secured(made)
            made.settimeout(WRITE_SECS)
        except BaseException:
            made.close()
            raise
        return made

    def _secured(self, plain: socket.socket) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self._settings.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._settings.cert_file is not None:
            # Without a password function OpenSSL would ask the terminal for one.
            context.load_cert_chain(self._settings.cert_file, self._settings.key_file, password=lambda: b"")
        return context.wrap_socket(plain, server_hostname=self._settings.server_name or self._settings.host)

    def _send_datagrams(self, messages: list[bytes]) -> None:
        """Send over a new socket, so that a name that was moved to another address is followed."""
        failed: OSError | None = None
        for family, kind, protocol, _name, address in socket.getaddrinfo(*self._settings.address, type=socket.SOCK_DGRAM):
            try:
                with socket.socket(family, kind, protocol) as datagrams:
                    datagrams.settimeout(WRITE_SECS)
                    datagrams.connect(address)
                    for one in messages:
                        datagrams.send(one)
                    _check(datagrams)  # "connection refused", as far as it is back already
            except OSError as error:
                failed = error
            else:
                return
        raise failed or OSError(0, "the name has no address")


def message(document: Document, facility: int, hostname: str) -> bytes:
    """Return the RFC 5424 message that carries *document*. Its type is the alert's kind, its structured data the alert's id."""
    header = (
        f"<{facility * 8 + document.severity}>1 {stamp(document.time)} {_name(hostname, 255)} sentinel {os.getpid()} "
        f'{_name(document.kind, 32)} [sentinel@32473 id="{parameter(document.id)}"] '
    )
    return header.encode() + document.body.translate(_CONTROLS)


def parameter(value: str) -> str:
    """Return *value* as it stands between the quotes of a structured-data parameter."""
    return re.sub(r'(["\\\]])', r"\\\1", value)


def frame(text: bytes, framing: str) -> bytes:
    """Return a message as a stream carries it: after its length in bytes (RFC 6587 3.4.1), or before a line feed."""
    return b"%d %b" % (len(text), text) if framing == "octet" else text + b"\n"


def alive(connection: socket.socket) -> bool:
    """Return False when the receiver has closed or refused the connection. It never sends anything else."""
    try:
        _check(connection)
    except OSError:
        return False
    return True


def _check(connection: socket.socket) -> None:
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
    _check(connection)


def _listen_for_refusal(connection: socket.socket) -> None:
    """Return when the receiver has let a moment pass without closing the connection.

    Raises:
        OSError: It closed it.
    """
    readable, deadline = select.poll(), time.monotonic() + REFUSAL_SECS
    readable.register(connection, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if readable.poll(left * 1000):
            _check(connection)  # session tickets make a healthy connection readable as well


def _unacknowledged(connection: socket.socket) -> int:
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


def _name(text: str, most: int) -> str:
    """Return a header field: printable ASCII without spaces, "-" when nothing is left."""
    return re.sub(r"[^!-~]", "", text)[:most] or "-"


SINK = SinkKind(name="syslog", settings=SyslogSettings, open=SyslogSink, batch=50)
