"""The one record that flows through everything: one thing seen on the network at one time."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

Kind = Literal[
    "dns_query",
    "dns_answer",
    "tls_client_hello",
    "quic_client_hello",
    "tls_certificate",  # names in a server's certificate, where the client's hello gave none or was not seen
    "http_request",
    "proxy_connect",
    "flow",
    "mail",
    "process_dns",
    "dhcp_lease",
]

Action = Literal["allowed", "blocked", "challenged", "failed"]
"""What a proxy or resolver did: let it pass, refused it, asked for a log-in first (HTTP 407), or could not reach the server."""

_ASCII_LOWER = str.maketrans({chr(c): chr(c + 32) for c in range(ord("A"), ord("Z") + 1)})
_ABSENT = frozenset({"", "-"})
_PORT = re.compile(r":\d{0,5}\Z", re.ASCII)


def host_name(text: str | None) -> str | None:
    """Return a host name the way Sentinel compares it: ASCII letters in lower case, no final dot; None for "" and "-".

    Only ASCII letters are folded. `str.lower` would turn the Kelvin sign into an ASCII "k", so that a name nobody looked up
    would match.
    """
    if text is None or text in _ABSENT:
        return None
    name = text.lower() if text.isascii() else text.translate(_ASCII_LOWER)
    return (name[:-1] if name.endswith(".") else name) or None


def host_of(authority: str) -> str | None:
    """Return the host of an RFC 3986 authority (`user@host:port`, `[2001:db8::1]:443`), as `host_name` gives it."""
    if "\\" in authority:  # browsers take it for the end of the host, others for a part of the user: it cannot be told
        return None
    host = authority.rpartition("@")[2]
    if host.startswith("["):
        return host_name(host[1:].partition("]")[0])
    return host_name(_PORT.sub("", host))


@lru_cache(maxsize=16384)  # a log names few addresses, and each over and over
def ip_address(text: str | None) -> str | None:
    """Return an address in its canonical text form (RFC 5952; IPv4-mapped as IPv4, zone id dropped), None when it is none."""
    if text is None:
        return None
    try:
        address = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one record says was seen. `None` always means "the record does not say", never zero or no.

    `time` is aware and in UTC. `client` is who asked, `server` who was asked, whatever the direction the record was written in.
    Bytes are counted from the client's point of view.
    """

    time: datetime
    kind: Kind
    time_text: str | None = None  # the time as the record wrote it
    client: str | None = None  # an IP address
    client_port: int | None = None
    server: str | None = None  # an IP address
    server_port: int | None = None
    user: str | None = None  # authenticated; a name that was only claimed goes to `claimed_user`
    claimed_user: str | None = None
    device: str | None = None  # the client's host name
    name: str | None = None  # the host asked for
    name_inferred: bool = False  # the record does not say the name: the client had resolved it to the server's address
    names: tuple[str, ...] = ()  # further hosts the record ties to this access: CNAMEs, an SNI that differs from Host
    query_type: str | None = None
    answers: tuple[str, ...] = ()  # addresses and CNAMEs in the answer
    url: str | None = None  # as written, absolute where the record allows
    path: str | None = None  # of the URL, without the query
    query: str | None = None  # of the URL, without the "?"
    method: str | None = None
    status: int | None = None
    user_agent: str | None = None
    bytes_up: int | None = None  # client to server
    bytes_down: int | None = None
    packets_up: int | None = None
    packets_down: int | None = None
    duration: float | None = None  # seconds
    bursts: tuple[tuple[float, int], ...] = ()  # seconds after `time`, and bytes that the client sent without a pause
    action: Action | None = None
    ech: bool = False  # the hello offers Encrypted Client Hello (not GREASE), so `name` may be an outer name
    flow: str | None = None  # what joins records of one access: Zeek's uid, a resolver's serial
    ja4: str | None = None
    alpn: tuple[str, ...] = ()
    resolver: str | None = None  # who the record's writer is, when it is a resolver or proxy that names itself

    def __post_init__(self) -> None:
        """Do once what all formats share: canonical host names and addresses."""
        if self.time.tzinfo is None:
            raise ValueError("an observation's time has a zone")
        set_field = object.__setattr__
        set_field(self, "time", self.time.astimezone(UTC))
        set_field(self, "name", host_name(self.name))
        set_field(self, "device", host_name(self.device))
        set_field(self, "client", ip_address(self.client))
        set_field(self, "server", ip_address(self.server))
        if self.names:
            others = (host_name(name) for name in self.names)
            set_field(self, "names", tuple(dict.fromkeys(name for name in others if name and name != self.name)))
