"""QUIC: Initial packets decrypted, and the ClientHello in their CRYPTO frames put together, in whatever order they come.

References: RFC 9000 section 17.2, RFC 9001 section 5, RFC 9369 (version 2).
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sentinel.packets import tls
from sentinel.packets.tcp import reversed_key
from sentinel.packets.wire import Undecodable

V1, V2 = 1, 0x6B3343CF
SALTS = {
    V1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    V2: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
}
LABELS = {V1: b"quic ", V2: b"quicv2 "}
INITIAL, RETRY = {V1: 0, V2: 1}, {V1: 3, V2: 0}
SMALLEST = 1200
"""A client pads the datagram of an Initial to this (RFC 9000, section 14.1), so what is smaller is not tried."""
MOST_CONNECTIONS = 8192
MOST_BYTES = 16 * 1024 * 1024
LARGEST_CRYPTO = 64 * 1024
MOST_PIECES = 512
MOST_KEYS = 4
TIMEOUT = 60 * 1_000_000_000
ANEW = 10 * 1_000_000_000
"""A hello for the same name from the same port within this time is the same contact, begun anew because the server asked for
another version or for a token (Retry). Clients should send the same hello then, and some make another one."""
OVERHEAD = 64


@dataclass(frozen=True, slots=True)
class Keys:
    """What decrypts a client's Initials."""

    cipher: AESGCM
    iv: bytes
    header: bytes

    @classmethod
    def of(cls, version: int, connection: bytes) -> Keys:
        """Derive the client's keys from the destination connection id of its first Initial."""
        secret = hmac.digest(SALTS[version], connection, "sha256")
        client = _expand(secret, b"client in", 32)
        label = LABELS[version]
        return cls(
            AESGCM(_expand(client, label + b"key", 16)), _expand(client, label + b"iv", 12), _expand(client, label + b"hp", 16)
        )


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\x00\x01"
    return hmac.digest(secret, info, hashlib.sha256)[:length]


@dataclass(frozen=True, slots=True)
class Packet:
    """One long-header packet in a datagram, still encrypted."""

    version: int
    connection: bytes  # the destination's id
    data: bytes  # from the first byte to the end of the payload
    number_at: int  # where the packet number begins in `data`


def initials(datagram: bytes) -> Iterator[Packet]:
    """Yield the Initial packets of a datagram, other packets between them passed over.

    Raises:
        Undecodable: The datagram's QUIC headers do not come apart.
    """
    at = 0
    try:
        while at < len(datagram) and datagram[at] & 0xC0 == 0xC0:
            version = int.from_bytes(datagram[at + 1 : at + 5], "big")
            kind = datagram[at] >> 4 & 3
            if version not in SALTS or kind == RETRY[version]:
                return  # the servers' answers, and versions that `is_other_version` tells
            size = datagram[at + 5]
            connection = datagram[at + 6 : at + 6 + size]
            here = at + 6 + size
            here += 1 + datagram[here]  # the source's id
            if kind == INITIAL[version]:
                token, here = _integer(datagram, here)
                here += token
            length, here = _integer(datagram, here)
            if size > 20 or here + length > len(datagram):
                raise Undecodable("a QUIC packet longer than its datagram")
            if kind == INITIAL[version]:
                yield Packet(version, connection, datagram[at : here + length], here - at)
            # A host that leaves the cutting to its network card shows several datagrams as one, each filled up with zeros.
            at = len(datagram) - len(datagram[here + length :].lstrip(b"\0"))
    except IndexError as error:
        raise Undecodable("a datagram ends within a QUIC header") from error


def is_other_version(datagram: bytes) -> bool:
    """Return whether a datagram begins with a long header of a version that is not read: a draft, Google's, a forced one."""
    version = datagram[1:5]
    return version[:3] == b"\xff\0\0" or version[:2] in (b"Q0", b"T0") or all(byte & 0x0F == 0x0A for byte in version)


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """Return the variable-length integer at *at*, and where it ends."""
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


def decrypt(packet: Packet, keys: Keys, largest: int = -1) -> tuple[int, bytes]:
    """Return the packet number and the frames of an Initial; *largest* is the highest number seen before it.

    Raises:
        Undecodable: The keys do not fit: another connection's, the server's packet, or a damaged one.
    """
    sample = packet.data[packet.number_at + 4 : packet.number_at + 20]
    if len(sample) < 16:
        raise Undecodable("a QUIC packet too short to sample")
    # One block of ECB is what RFC 9001, section 5.4.3 prescribes as a mask; nothing is kept secret by it.
    mask = Cipher(algorithms.AES(keys.header), modes.ECB()).encryptor().update(sample)  # noqa: S305
    first = packet.data[0] ^ mask[0] & 0x0F
    size = (first & 3) + 1
    masked = packet.data[packet.number_at : packet.number_at + size]
    truncated = bytes(one ^ other for one, other in zip(masked, mask[1:], strict=False))
    number = _full_number(int.from_bytes(truncated, "big"), size * 8, largest)
    header = bytes([first]) + packet.data[1 : packet.number_at] + truncated
    nonce = (int.from_bytes(keys.iv, "big") ^ number).to_bytes(12, "big")
    try:
        return number, keys.cipher.decrypt(nonce, packet.data[packet.number_at + size :], header)
    except InvalidTag as error:
        raise Undecodable("a QUIC Initial that these keys do not open") from error


def _full_number(truncated: int, bits: int, largest: int) -> int:
    """Restore a packet number from its last *bits* (RFC 9000, appendix A.3)."""
    window = 1 << bits
    candidate = (largest + 1) & ~(window - 1) | truncated
    if candidate <= largest + 1 - window // 2 and candidate < (1 << 62) - window:
        return candidate + window
    if candidate > largest + 1 + window // 2 and candidate >= window:
        return candidate - window
    return candidate


def crypto_frames(frames: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield offset and bytes of the CRYPTO frames; the few others that an Initial may hold are passed over.

    Raises:
        Undecodable: A frame does not come apart, or is none that an Initial may hold.
    """
    at = 0
    try:
        while at < len(frames):
            kind = frames[at]
            if kind == 0:  # padding, as a rule a thousand bytes of it
                at = len(frames) - len(frames[at:].lstrip(b"\0"))
                continue
            at += 1
            if kind == 1:  # ping
                continue
            if kind == 6:
                offset, at = _integer(frames, at)
                length, at = _integer(frames, at)
                if at + length > len(frames):
                    raise Undecodable("a CRYPTO frame longer than its packet")
                yield offset, frames[at : at + length]
                at += length
            elif kind in (2, 3):
                at = _after_ack(frames, at, kind)
            elif kind in (0x1C, 0x1D):  # the connection is closed
                return
            else:
                raise Undecodable(f"a frame of kind {kind} in an Initial")
    except IndexError as error:
        raise Undecodable("a packet ends within a frame") from error


def _after_ack(frames: bytes, at: int, kind: int) -> int:
    for _ in range(2):  # largest acknowledged, delay
        _, at = _integer(frames, at)
    ranges, at = _integer(frames, at)
    for _ in range(1 + 2 * ranges + (3 if kind == 3 else 0)):
        _, at = _integer(frames, at)
    return at


@dataclass(slots=True)
class _Connection:
    time: int
    keys: OrderedDict[tuple[int, bytes], Keys | None] = field(default_factory=OrderedDict)
    using: tuple[int, bytes] | None = None
    largest: int = -1
    pieces: dict[int, bytes] = field(default_factory=dict)
    held: int = 0
    done: bool = False
    told: tuple[str | None, int] | None = None  # name and time of the hello that was given out


class Initials:
    """Connections whose ClientHello has not come in whole."""

    def __init__(self, counters: Counter[str]) -> None:
        """Start with none; what is given up or cannot be read is counted in *counters*."""
        self._connections: OrderedDict[bytes, _Connection] = OrderedDict()
        self._bytes = 0
        self._counters = counters

    def datagram(self, key: bytes, data: bytes, time: int) -> tls.Hello | None:
        """Return the ClientHello that *data* completes. *key* is the path from client to server: addresses and ports.

        Raises:
            Undecodable: The datagram's headers do not come apart.
        """
        if reversed_key(key) in self._connections:
            return None
        if is_other_version(data):
            self._counters["quic_versions"] += 1
            return None
        hello = None
        for packet in initials(data):
            self._forget(time)
            known = self._connections.get(key)
            if known is not None and known.done and not self._is_new(known, packet):
                known.time = time
                continue
            hello = self._packet(key, packet, time) or hello
        return hello

    def _is_new(self, known: _Connection, packet: Packet) -> bool:
        """Return whether another connection may have taken over the same ports: its ids open with keys of their own."""
        if (packet.version, packet.connection) in known.keys:
            return False
        try:
            decrypt(packet, Keys.of(packet.version, packet.connection))
        except Undecodable:
            return False  # the server chose another id: still the same connection
        return True

    def _packet(self, key: bytes, packet: Packet, time: int) -> tls.Hello | None:
        known = self._connections.get(key) or _Connection(time)
        opened = self._open(known, packet)
        if opened is None:
            self._counters["quic_undecrypted"] += 1
            return None
        if key not in self._connections:
            self._connections[key] = known
        known.time = time
        try:
            for offset, piece in crypto_frames(opened):
                self._place(known, offset, piece)
            return self._hello(known)
        except Undecodable:
            self._counters["quic_undecodable"] += 1
            return None

    def _open(self, known: _Connection, packet: Packet) -> bytes | None:
        """Decrypt with the keys in use, or, after a Retry or in a new connection, with those of the id the packet bears."""
        # After a compatible version negotiation (RFC 9369, section 4.1) the ids stay and the version changes.
        held = [(packet.version, connection) for _, connection in reversed(known.keys)]
        for identity in dict.fromkeys([*held, (packet.version, packet.connection)]):
            keys = known.keys.get(identity) or Keys.of(*identity)
            try:
                number, frames = decrypt(packet, keys, known.largest if identity == known.using else -1)
            except Undecodable:
                continue
            if identity != known.using:
                self._restart(known, identity, keys)
            known.largest = max(known.largest, number)
            return frames
        return None

    def _restart(self, known: _Connection, identity: tuple[int, bytes], keys: Keys) -> None:
        """Go on with other keys, and but for a mere change of version with a new CRYPTO stream: a Retry, a new connection."""
        known.keys[identity] = keys
        if len(known.keys) > MOST_KEYS:
            known.keys.popitem(last=False)
        if known.using is None or known.using[1] != identity[1]:
            self._bytes -= known.held
            known.largest, known.held, known.done = -1, 0, False
            known.pieces = {}
        known.using = identity

    def _place(self, known: _Connection, offset: int, piece: bytes) -> None:
        if len(known.pieces.get(offset, b"")) >= len(piece):
            return
        if offset + len(piece) > LARGEST_CRYPTO or len(known.pieces) >= MOST_PIECES:
            self._counters["quic_dropped"] += 1
            return
        grown = len(piece) + OVERHEAD - (len(known.pieces[offset]) + OVERHEAD if offset in known.pieces else 0)
        known.pieces[offset] = piece
        known.held += grown
        self._bytes += grown

    def _hello(self, known: _Connection) -> tls.Hello | None:
        stream = _joined(known.pieces)
        if len(stream) < 4 or len(stream) < tls.hello_length(stream):
            return None
        hello = tls.read(stream)
        self._bytes -= known.held
        known.pieces, known.held, known.done = {}, 0, True
        known.keys = OrderedDict.fromkeys(known.keys)  # which connection this is stays known; to decrypt it is done
        if known.told is not None and known.told[0] == hello.name and known.time - known.told[1] <= ANEW:
            self._counters["hellos_repeated"] += 1
            return None
        known.told = (hello.name, known.time)
        return hello

    def _forget(self, time: int) -> None:
        while self._connections:
            key, oldest = next(iter(self._connections.items()))
            if len(self._connections) > MOST_CONNECTIONS or self._bytes > MOST_BYTES:
                self._counters["evicted"] += not oldest.done
            elif time - oldest.time <= TIMEOUT:
                return
            elif not oldest.done:
                self._counters["quic_incomplete"] += 1
            self._bytes -= oldest.held
            del self._connections[key]


def _joined(pieces: dict[int, bytes]) -> bytes:
    """Return the bytes from offset 0 up to the first hole."""
    stream = bytearray()
    for offset in sorted(pieces):
        if offset > len(stream):
            break
        stream += pieces[offset][len(stream) - offset :]
    return bytes(stream)
