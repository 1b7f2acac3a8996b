"""SOCKS 4a and 5: where a client asks a proxy to connect to.

References: https://www.openssh.com/txt/socks4a.protocol, RFC 1928, RFC 1929. Only the client's bytes are read: what the proxy
answers is told from what the client says next.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from sentinel.observation import ip_address
from sentinel.packets.wire import Undecodable, name_text

V4, V5 = 4, 5
CONNECT, ASSOCIATE = 1, 3
PASSWORD = 1
"""Version of the negotiation that carries user and password."""
ADDRESS, NAME, ADDRESS_6 = 1, 3, 4
LONGEST_USER = 255
MOST_METHODS = 16
"""Ten are assigned."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One message of the client: `size` bytes; a destination when it is the request, else None; a user where it tells one."""

    size: int
    host: str | None = None
    port: int | None = None
    user: str | None = None
    request: bool = False


def begins(stream: bytes | bytearray) -> bool | None:
    """Return whether *stream* begins with a SOCKS 4 request or a SOCKS 5 greeting; None when it is too short to tell."""
    if stream[0] == V4:
        return None if len(stream) < 2 else stream[1] == CONNECT
    if stream[0] != V5:
        return False
    if len(stream) < 2:
        return None
    if not 1 <= stream[1] <= MOST_METHODS:
        return False
    return True if len(stream) >= 2 + stream[1] else None


def is_request(segment: bytes) -> bool:
    """Return whether a segment in the middle of a stream is a whole request for a host by name, and nothing else."""
    try:
        asked = request(segment)
    except Undecodable:
        return False
    return asked is not None and asked.size == len(segment) and bool(asked.host) and ip_address(asked.host) is None


def greeting(stream: bytes | bytearray) -> int:
    """Return how long the greeting is that `begins` found; 0 for SOCKS 4, which has none."""
    return 2 + stream[1] if stream[0] == V5 else 0


def message(stream: bytes | bytearray) -> Asked | None:
    """Read what follows the greeting: the request, or user and password before it. None while it has not come in whole.

    Raises:
        Undecodable: It is neither.
    """
    if stream[0] == PASSWORD:
        return _password(stream)
    return request(stream)


def request(stream: bytes | bytearray) -> Asked | None:
    """Read a request of either version; None while it has not come in whole.

    Raises:
        Undecodable: It is no request.
    """
    if stream[0] == V4:
        return _request_4(stream)
    if stream[0] != V5:
        raise Undecodable("no SOCKS request")
    if len(stream) < 5:
        return None
    if not CONNECT <= stream[1] <= ASSOCIATE or stream[2] != 0 or stream[3] not in (ADDRESS, NAME, ADDRESS_6):
        raise Undecodable("no SOCKS 5 request")
    size = {ADDRESS: 4, ADDRESS_6: 16}.get(stream[3], 1 + stream[4])
    if len(stream) < 6 + size:
        return None
    field = bytes(stream[4 : 4 + size])
    host = name_text(field[1:]) if stream[3] == NAME else str(ipaddress.ip_address(field))
    return Asked(6 + size, host or None, int.from_bytes(stream[4 + size : 6 + size], "big"), request=True)


def _password(stream: bytes | bytearray) -> Asked | None:
    if len(stream) < 2 or len(stream) < 3 + stream[1]:
        return None
    at = 2 + stream[1]
    if len(stream) < at + 1 + stream[at]:
        return None
    return Asked(at + 1 + stream[at], user=stream[2:at].decode("utf-8", "backslashreplace") or None)


def _request_4(stream: bytes | bytearray) -> Asked | None:
    if len(stream) < 9:
        return None
    if stream[1] != CONNECT:
        raise Undecodable("no SOCKS 4 request")
    user, end = _text(stream, 8)
    if end is None:
        return None
    host: str | None = str(ipaddress.IPv4Address(bytes(stream[4:8])))
    if stream[4:7] == b"\0\0\0" and stream[7]:  # 4a: the proxy resolves the name
        name, end = _text(stream, end)
        if end is None:
            return None
        host = name_text(name) or None
    port = int.from_bytes(stream[2:4], "big")
    return Asked(end, host, port, user.decode("utf-8", "backslashreplace") or None, request=True)


def _text(stream: bytes | bytearray, at: int) -> tuple[bytes, int | None]:
    """Return the text that a zero byte ends and where the next field begins, None while there is no zero byte."""
    end = stream.find(b"\0", at, at + LONGEST_USER + 1)
    if end < 0:
        if len(stream) - at > LONGEST_USER:
            raise Undecodable("a SOCKS 4 request without an end")
        return b"", None
    return bytes(stream[at:end]), end + 1
