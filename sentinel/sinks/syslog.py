"""Syslog: RFC 5424 messages over UDP, TCP or TLS (RFC 5425), carrying CEF, LEEF or JSON.

    <35>1 2026-11-23T05:00:10.123Z collector-1 sentinel 812 opened [sentinel@32473 id="al_…"] CEF:0|…

No receiver answers, so `Delivered` means: over UDP, that the datagrams left; over TCP and TLS, that the receiver's machine has
acknowledged every byte and has not closed the connection. What a receiver had acknowledged and not yet read when it was
stopped is sent again when it is back, with the same id. There is no byte order mark before the message: rsyslog would keep it,
and the CEF parser behind it would not find `CEF:`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from sentinel.schemas.text import stamp
from sentinel.sinks.kind import SinkKind, SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Outcome, Retry
from sentinel.sinks.stream import WRITE_SECS, Stream, Trust, check

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
    schema_: Literal["cef", "leef", "ecs", "ocsf", "json"] = Field("cef", alias="schema", description="How alerts are written.")

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

    @property
    def trust(self) -> Trust | None:
        """How TLS is spoken, None for the transports without."""
        if self.transport != "tls":
            return None
        return Trust(self.server_name or self.host, self.ca_file, self.cert_file, self.key_file)

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
        self._stream = Stream(settings.address, settings.trust)

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Send *documents*; on any trouble all of them are to be tried again, on a new connection."""
        messages = [message(document, FACILITIES[self._settings.facility], self._hostname) for document in documents]
        try:
            if self._settings.transport == "udp":
                self._send_datagrams(messages)
            else:
                self._stream.send([frame(one, self._settings.framing) for one in messages])
        except OSError as error:  # ssl.SSLError, socket.gaierror and TimeoutError are some
            host, port = self._settings.address
            return [Retry(f"{host}:{port}: {error.strerror or error}")] * len(documents)
        return [Delivered()] * len(documents)

    def close(self) -> None:
        """Close the connection in order."""
        self._stream.close()

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
                    check(datagrams)  # "connection refused", as far as it is back already
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


def _name(text: str, most: int) -> str:
    """Return a header field: printable ASCII without spaces, "-" when nothing is left."""
    return re.sub(r"[^!-~]", "", text)[:most] or "-"


SINK = SinkKind(name="syslog", settings=SyslogSettings, open=SyslogSink, batch=50)
