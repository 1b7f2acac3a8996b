"""TLS ClientHellos: the name asked for, ALPN, ECH and the JA4 fingerprint.

References: RFC 8446 section 4.1.2; JA4 https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

from sentinel.packets.wire import Undecodable, name_text

HANDSHAKE, CLIENT_HELLO = 0x16, 1
SNI, GROUPS, SIGNATURES, ALPN, VERSIONS, ECH = 0, 10, 13, 16, 43, 0xFE0D
LARGEST_RECORD = 0x4000 + 2048
LARGEST_HELLO = 64 * 1024
"""Real ones have 200 to 5,000 bytes. The bound keeps a stranger from making us wait for 16 MiB."""
_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}


@dataclass(slots=True)
class Hello:
    """What a ClientHello says. `whole` is false when its bytes ended early: what is there is complete, the rest unknown."""

    name: str | None = None
    random: bytes = b""  # 32 bytes; the same when a hello is sent again, and in the one after a HelloRetryRequest
    alpn: tuple[str, ...] = ()
    version: int = 0  # the highest one offered
    ciphers: tuple[int, ...] = ()
    extensions: list[int] = field(default_factory=list)
    signatures: tuple[int, ...] = ()
    ech: bool = False  # an outer ECH extension is there; browsers send it as GREASE as well
    first_alpn: bytes = b""
    whole: bool = False


def handshake(stream: bytes | bytearray) -> tuple[bytes, bool]:
    """Return the handshake bytes in the TLS records at the start of *stream*, and whether the ClientHello is whole.

    Raises:
        Undecodable: The stream does not begin with a ClientHello.
    """
    parts: list[bytes] = []
    size, at, needed = 0, 0, 4
    while size < needed and at < len(stream):
        if stream[at] != HANDSHAKE or (len(stream) > at + 1 and stream[at + 1] != 3):
            raise Undecodable("no TLS handshake record")
        if at + 5 > len(stream):
            break
        length = stream[at + 3] << 8 | stream[at + 4]
        if not 0 < length <= LARGEST_RECORD:
            raise Undecodable("a TLS record of an impossible length")
        part = bytes(stream[at + 5 : at + 5 + length])
        parts.append(part)
        size += len(part)
        at += 5 + length
        if size >= 4 and needed == 4:
            needed = hello_length(b"".join(parts))
    return b"".join(parts)[:needed], size >= needed > 4


def may_begin(start: bytes) -> bool:
    """Return whether a segment that begins with *start* may be the beginning of a ClientHello, be it ever so short."""
    return start[:2] == b"\x16\x03"[: len(start)] and (len(start) < 6 or start[5] == CLIENT_HELLO)


def hello_length(start: bytes) -> int:
    """Return how long the ClientHello that begins with *start* (4 bytes or more) is, header included.

    Raises:
        Undecodable: It is no ClientHello, or longer than we care for.
    """
    length = 4 + int.from_bytes(start[1:4], "big")
    if start[0] != CLIENT_HELLO or not 45 <= length <= LARGEST_HELLO:
        raise Undecodable("no ClientHello")
    return length


def read(message: bytes) -> Hello:
    """Read a ClientHello, or the beginning of one, handshake header included.

    A field that is not there whole is left out: a name that a snapped packet cuts must not become another one.

    Raises:
        Undecodable: It is no ClientHello, or its lengths contradict each other.
    """
    if len(message) < 4:
        return Hello()
    length = hello_length(message)
    hello = Hello(whole=len(message) >= length)
    try:
        _fields(hello, message[4:length])
    except (struct.error, IndexError) as error:
        if hello.whole:
            raise Undecodable("a ClientHello whose lengths contradict each other") from error
    return hello


def _fields(hello: Hello, body: bytes) -> None:
    hello.version = struct.unpack_from(">H", body)[0]
    hello.random = body[2:34] if len(body) >= 34 else b""
    at = 35 + body[34]  # the random value, and the session id
    size = struct.unpack_from(">H", body, at)[0]
    hello.ciphers = _shorts(body, at + 2, size)
    at += 2 + size
    at += 1 + body[at]  # compression methods
    if at == len(body) and hello.whole:  # SSL 3 to TLS 1.2 may have no extensions at all
        return
    end = at + 2 + struct.unpack_from(">H", body, at)[0]
    if hello.whole and end != len(body):
        raise IndexError
    at += 2
    while at < end:
        kind, size = struct.unpack_from(">HH", body, at)
        at += 4
        if at + size > min(end, len(body)):
            raise IndexError
        hello.extensions.append(kind)
        _extension(hello, kind, body[at : at + size])
        at += size


def _extension(hello: Hello, kind: int, body: bytes) -> None:
    if kind == SNI and body:
        hello.name = _server_name(body)
    elif kind == ALPN and len(body) > 2:
        protocols = _strings(body[2:])
        hello.first_alpn = protocols[0] if protocols else b""
        hello.alpn = tuple(one.decode("latin-1") for one in protocols if not _is_grease_alpn(one))
    elif kind == VERSIONS and body:
        offered = [one for one in _shorts(body, 1, body[0]) if not is_grease(one)]
        hello.version = max(offered, default=hello.version)
    elif kind == SIGNATURES and len(body) >= 2:
        hello.signatures = _shorts(body, 2, struct.unpack_from(">H", body)[0])
    elif kind == ECH and body:
        hello.ech = body[0] == 0  # outer; the inner form is never seen in the clear


def _server_name(body: bytes) -> str | None:
    listed = struct.unpack_from(">H", body)[0]
    at = 2
    while at + 3 <= min(2 + listed, len(body)):
        kind, size = struct.unpack_from(">BH", body, at)
        name = body[at + 3 : at + 3 + size]
        if len(name) < size or at + 3 + size > 2 + listed:
            raise IndexError
        if kind == 0:
            return name_text(name) or None
        at += 3 + size
    return None


def _strings(body: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(body):
        found.append(body[at + 1 : at + 1 + body[at]])
        at += 1 + body[at]
    return found


def _shorts(body: bytes, at: int, size: int) -> tuple[int, ...]:
    return struct.unpack_from(f">{size // 2}H", body, at)


def is_grease(value: int) -> bool:
    """Return whether a code point is one of RFC 8701's, sent to keep servers tolerant: 0x0a0a, 0x1a1a, ..."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def _is_grease_alpn(protocol: bytes) -> bool:
    return len(protocol) == 2 and is_grease(int.from_bytes(protocol, "big"))


def ja4(hello: Hello, over: str) -> str | None:
    """Return the JA4 fingerprint; *over* is "t" (TCP) or "q" (QUIC). None for a hello that is not whole."""
    if not hello.whole:
        return None
    ciphers = [one for one in hello.ciphers if not is_grease(one)]
    extensions = [one for one in hello.extensions if not is_grease(one)]
    head = (
        f"{over}{_VERSIONS.get(hello.version, '00')}{'d' if SNI in extensions else 'i'}"
        f"{min(len(ciphers), 99):02d}{min(len(extensions), 99):02d}{_alpn_mark(hello.first_alpn)}"
    )
    kept = ",".join(sorted(f"{one:04x}" for one in extensions if one not in (SNI, ALPN)))
    signed = ",".join(f"{one:04x}" for one in hello.signatures if not is_grease(one))
    listed = ",".join(sorted(f"{one:04x}" for one in ciphers))
    return f"{head}_{_digest(listed)}_{_digest(f'{kept}_{signed}' if signed else kept)}"


def _alpn_mark(first: bytes) -> str:
    if not first:
        return "00"
    ends = bytes([first[0], first[-1]])
    if ends.isalnum():
        return ends.decode("ascii")
    text = first.hex()
    return text[0] + text[-1]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12] if text else "0" * 12
