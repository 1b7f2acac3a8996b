"""The settings of sources that others send to, and what is wrong with them that only a look at the machine can tell."""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sentinel.config.words import FormatName, Zone
from sentinel.located import Lines
from sentinel.problems import Problem
from sentinel.sources.endpoint import Endpoint, Keys, Network, Speaks
from sentinel.sources.listener import Limits, Listener

TLS = ("tls", "relp-tls")
UNIX = ("unix", "unix-datagram")


class Listening(BaseModel):
    """A port or a Unix socket that senders come to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    transport: str
    address: str = Field("127.0.0.1", description="Our address that senders come to; 0.0.0.0 or '::' for all of them.")
    port: int | None = Field(None, ge=1, le=65535, description="The port; needed unless it is a Unix socket.")
    path: Path | None = Field(None, description="The Unix socket; made by Sentinel, for its user and group.")
    allow: list[Network] = Field(default_factory=list, description="Addresses and networks that may send; empty: everybody.")
    cert_file: Path | None = Field(None, description="TLS: our certificate (PEM).")
    key_file: Path | None = Field(None, description="TLS: the key of cert_file (PEM); left out, it is in cert_file.")
    client_ca_file: Path | None = Field(None, description="TLS: the authority (PEM) that clients' certificates come from.")
    max_connections: int = Field(200, ge=1, le=10_000, description="Connections at a time; further ones are refused.")
    max_per_sec: int = Field(
        50_000,
        ge=1,
        description="Messages a second of one sender; streams are slowed down to it, datagrams beyond are refused.",
    )

    def patterns(self) -> list[str]:
        """Return no files: a listener is none."""
        return []

    def listener(self, base: Path) -> Listener:
        """Return the source; relative paths start from the folder *base*."""
        raise NotImplementedError

    def _endpoint(self, base: Path, speaks: Speaks, *, datagrams: bool) -> Endpoint:
        files = (self.cert_file, self.key_file, self.client_ca_file)
        certificate, key, authority = (base / file if file else None for file in files)
        return Endpoint(
            speaks=speaks,
            datagrams=datagrams,
            address=self.address,
            port=self.port or 0,
            path=base / self.path if self.path else None,
            keys=Keys(certificate, key, authority) if certificate else None,
            allow=tuple(self.allow),
        )

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        unix, tls = self.transport in UNIX, self.transport in TLS
        try:
            loopback = ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            raise ValueError(f"'address' is {self.address!r}; write an IP address of this machine, or 0.0.0.0") from None
        if unix and self.path is None:
            raise ValueError(f"'path' is needed with the transport {self.transport}")
        if not unix and self.port is None:
            raise ValueError(f"'port' is needed with the transport {self.transport}")
        if unix and (self.port is not None or self.allow):
            raise ValueError("a Unix socket has neither 'port' nor 'allow'")
        if not unix and self.path is not None:
            raise ValueError(f"'path' is for Unix sockets; the transport is {self.transport}")
        if tls and self.cert_file is None:
            raise ValueError(f"'cert_file' is needed with the transport {self.transport}")
        given = [name for name in ("cert_file", "key_file", "client_ca_file") if getattr(self, name) is not None]
        if given and not tls:
            raise ValueError(f"{', '.join(map(repr, given))} mean TLS; the transport is {self.transport}")
        if not unix and not loopback and not self.allow and self.client_ca_file is None:
            raise ValueError(
                f"{self.address} can be reached from other machines: say who may send, by 'allow' (addresses, networks), or by "
                "TLS and 'client_ca_file'"
            )
        return self


class SyslogSource(Listening):
    """A port or Unix socket that syslog senders come to."""

    type: Literal["syslog"]
    transport: Literal["udp", "tcp", "tls", "relp", "relp-tls", "unix", "unix-datagram"] = Field(
        description="RELP alone acknowledges each message once it is kept; TCP tells line ends and octet counts apart itself."
    )
    max_message_bytes: int = Field(64 * 1024, ge=480, le=1024 * 1024, description="Longest message; longer ones are refused.")
    format: FormatName | None = Field(None, description="The logs' format; left out, it is told from each record.")
    timezone: Zone | None = Field(None, description="Zone of times that carry none; left out, the file's `timezone` above.")

    @model_validator(mode="after")
    def _is_a_whole_format(self) -> Self:
        if self.format == "squid":
            raise ValueError("'format: squid' is for files, whose `logformat` is given beside it; there is squid-native here")
        return self

    def listener(self, base: Path) -> Listener:
        """Return the source; relative paths start from the folder *base*."""
        limits = Limits(connections=self.max_connections, message_bytes=self.max_message_bytes, per_sec=self.max_per_sec)
        speaks: Speaks = "relp" if self.transport.startswith("relp") else "syslog"
        endpoint = self._endpoint(base, speaks, datagrams=self.transport in ("udp", "unix-datagram"))
        return Listener(endpoint, limits, format=self.format, zone=self.timezone)


class DnstapSource(Listening):
    """A port or Unix socket that resolvers send dnstap to (Frame Streams)."""

    type: Literal["dnstap"]
    transport: Literal["tcp", "tls", "unix"] = Field("unix", description="How the resolver comes; most write to a Unix socket.")

    def listener(self, base: Path) -> Listener:
        """Return the source; relative paths start from the folder *base*."""
        limits = Limits(connections=self.max_connections, per_sec=self.max_per_sec, message_bytes=256 * 1024)
        return Listener(self._endpoint(base, "dnstap", datagrams=False), limits)


def closed_listeners(settings: Any, path: Path, lines: Lines) -> list[Problem]:
    """Return a problem for each listener whose certificates do not serve, or whose port or socket this user may not open.

    One that is in use is none: that may be the running daemon.
    """
    problems = []
    for at, source in _listeners(settings):
        endpoint = source.listener(path.resolve().parent).endpoint
        line = lines.of(("sources", at))
        if endpoint.path is not None and not endpoint.path.parent.is_dir():
            problems.append(Problem(str(path), line, f"there is no folder {endpoint.path.parent}", "Make it, for our user."))
            continue
        try:
            if endpoint.keys:
                endpoint.keys.context()
        except OSError as error:
            problems.append(
                Problem(
                    str(path), line, f"the certificates do not serve: {error}", "Check cert_file, key_file, client_ca_file."
                )
            )
        try:
            if endpoint.path is None:
                endpoint.opened().close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                problems.append(Problem(str(path), line, f"cannot be opened: {error.strerror}", _mended(error.errno)))
    return problems


def _mended(number: int | None) -> str:
    if number == errno.EACCES:
        return "Ports below 1024 need the capability CAP_NET_BIND_SERVICE; or take a higher one."
    return "`ip address` lists the addresses of this machine."


def listeners(settings: Any) -> list[Listening]:
    """Return the listeners that are named."""
    return [source for _at, source in _listeners(settings)]


def _listeners(settings: Any) -> Iterator[tuple[int, Listening]]:
    for nth, source in enumerate(settings.sources):
        if isinstance(source, Listening):
            yield nth, source
