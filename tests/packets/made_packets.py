"""Packets for the tests, made with scapy and by hand, and the shortest way to decode them."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from sentinel.packets.decoder import Decoder
from sentinel.packets.seen import Seen

CLIENT, SERVER = "192.0.2.7", "203.0.113.9"
ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")  # given, lest scapy asks the network for them
T0 = 1_700_000_000_000_000_000


def hello(
    name: bytes | None = b"pimeyes.com", *, pad: int = 0, ech: bytes | None = None, alpn: tuple[bytes, ...] = (b"h2",)
) -> bytes:
    """Return a ClientHello's handshake message, *pad* bytes of key share before the name."""
    parts = [(51, bytes(pad))] if pad else []
    if name is not None:
        entry = b"\0" + struct.pack(">H", len(name)) + name
        parts.append((0, struct.pack(">H", len(entry)) + entry))
    if alpn:
        listed = b"".join(bytes([len(one)]) + one for one in alpn)
        parts.append((16, struct.pack(">H", len(listed)) + listed))
    parts.append((43, b"\x02\x03\x04"))
    if ech is not None:
        parts.append((0xFE0D, ech))
    extensions = b"".join(struct.pack(">HH", kind, len(body)) + body for kind, body in parts)
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + struct.pack(">H", len(extensions)) + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def records(message: bytes, size: int = 16384) -> bytes:
    """Return a handshake message in TLS records of at most *size* bytes."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece for piece in pieces)


def segment(payload: bytes, *, seq: int = 1001, flags: str = "PA", sport: int = 40000, dport: int = 443) -> Packet:
    """Return a segment from the client to the server."""
    return ETHER / IP(src=CLIENT, dst=SERVER) / TCP(sport=sport, dport=dport, seq=seq, flags=flags) / payload


def syn(*, seq: int = 1000, sport: int = 40000, dport: int = 443) -> Packet:
    """Return the client's SYN."""
    return segment(b"", seq=seq, flags="S", sport=sport, dport=dport)


def datagram(payload: bytes, *, sport: int = 40000, dport: int = 53) -> Packet:
    """Return a UDP datagram from the client to the server."""
    return ETHER / IP(src=CLIENT, dst=SERVER) / UDP(sport=sport, dport=dport) / payload


def decode(
    packets: Iterable[Packet | bytes], *, decoder: Decoder | None = None, link: int = 1, snap: int = 1 << 20
) -> list[Seen]:
    """Return what *packets* show, a millisecond apart, each cut after *snap* bytes."""
    decoder = decoder or Decoder()
    seen: list[Seen] = []
    for number, packet in enumerate(packets, 1):
        raw = bytes(packet)
        seen += decoder.packet(T0 + number * 1_000_000, link, memoryview(raw[:snap]), len(raw), number)
    return seen + decoder.finish()


def names(seen: Iterable[Seen]) -> list[str | None]:
    """Return the names asked for, in their order."""
    return [one.observation.name for one in seen]


def certificate(names: Sequence[str], common: str = "nobody") -> bytes:
    """Return a self-signed certificate for *names*, in DER."""
    return certificate_and_key(names, common)[0].public_bytes(serialization.Encoding.DER)


def certificate_and_key(names: Sequence[str], common: str = "nobody") -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return a self-signed certificate for *names*, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(dt.datetime(2023, 1, 1)).not_valid_after(dt.datetime(2033, 1, 1))  # noqa: DTZ001
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return made.sign(key, hashes.SHA256()), key


def flight(der: bytes, *, version: bytes = b"", size: int = 16384) -> bytes:
    """Return a server's ServerHello and Certificate in records of *size*; *version* is the body of supported_versions."""
    extensions = struct.pack(">HH", 43, len(version)) + version if version else b""
    hello_body = b"\x03\x03" + bytes(32) + b"\0" + b"\xc0\x2f" + b"\0" + struct.pack(">H", len(extensions)) + extensions
    listed = len(der).to_bytes(3, "big") + der
    certificates = len(listed).to_bytes(3, "big") + listed
    message = b"\x02" + len(hello_body).to_bytes(3, "big") + hello_body
    message += b"\x0b" + len(certificates).to_bytes(3, "big") + certificates + b"\x0e\0\0\0"
    return records(message, size)
