"""Where senders come to: a port or a Unix socket, who may come, and how many.

A port that others than this machine can reach is opened only to known senders: by client certificate, or by address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Speaks = Literal["syslog", "relp", "dnstap"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

BACKLOG = 128
DATAGRAM_ROOM = 8 * 1024 * 1024
"""Bytes that the kernel is asked to hold of datagrams while a batch is committed; it may grant less."""

SO_RXQ_OVFL = 40
"""Asks Linux to say with each datagram how many it has dropped of this socket for want of room (asm-generic/socket.h)."""

MODE = 0o660
"""Of a Unix socket: our user and group may write to it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Our certificate and key (PEM files), and the authority that clients' certificates have to come from."""

    certificate: Path
    key: Path | None
    client_authority: Path | None

    def context(self) -> ssl.SSLContext:
        """Return what connections are wrapped with.

        Raises:
            OSError: A file cannot be read, or is no certificate or key (ssl.SSLError).
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        if self.client_authority is not None:
            context.load_verify_locations(self.client_authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One port or Unix socket. `port` 0 lets the kernel choose one."""

    speaks: Speaks
    datagrams: bool = False
    address: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None  # of a Unix socket; address and port then mean nothing
    keys: Keys | None = None  # None: no TLS
    allow: tuple[Network, ...] = ()  # empty: everybody who can reach it

    @property
    def name(self) -> str:
        """The endpoint as people read it: "syslog+tls://0.0.0.0:6514", "dnstap:/run/dnstap.sock"."""
        how = self.speaks + ("+udp" if self.datagrams and not self.path else "+tls" if self.keys else "")
        if self.path is not None:
            return f"{how}:{self.path}"
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{how}://{host}:{self.port}"

    def allows(self, sender: str) -> bool:
        """Return whether the address *sender* may come."""
        if not self.allow or self.path is not None:
            return True
        address = ipaddress.ip_address(sender)
        return any(address in network for network in self.allow)

    def opened(self) -> socket.socket:
        """Return the bound socket, which does not block; one for streams listens.

        Raises:
            OSError: The address is in use, is not this machine's, or may not be opened by this user.
        """
        kind = socket.SOCK_DGRAM if self.datagrams else socket.SOCK_STREAM
        if self.path is not None:
            made = _unix(self.path, kind)
        else:
            made = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET, kind)
            try:
                if not self.datagrams:
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind((self.address, self.port))
            except OSError as error:
                made.close()
                raise OSError(error.errno, f"{self.name}: {error.strerror}") from error
        if self.datagrams:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_ROOM)
            made.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        else:
            made.listen(BACKLOG)
        made.setblocking(False)
        return made


def _unix(path: Path, kind: socket.SocketKind) -> socket.socket:
    """Bind a Unix socket at *path*; one that a killed process left there is replaced, one that is in use is not.

    Raises:
        OSError: Something else is there, or somebody listens there.
    """
    made = socket.socket(socket.AF_UNIX, kind)
    try:
        if path.exists() or path.is_symlink():
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise OSError(f"{path}: there is a file that is no socket")
            if _answers(path, kind):
                raise OSError(f"{path}: another program listens there")
            path.unlink()
        made.bind(str(path))
        path.chmod(MODE)
    except OSError as error:
        made.close()
        raise OSError(error.errno, f"{path}: {error.strerror}") if error.strerror else error from error
    return made


def _answers(path: Path, kind: socket.SocketKind) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX, kind)) as tried:
        tried.settimeout(1)
        try:
            tried.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True
