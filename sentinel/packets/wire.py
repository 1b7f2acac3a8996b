"""What all packet decoders share: the one error, and how bytes from a stranger become a host name."""

from __future__ import annotations

_AS_IS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*/=+@~!#$%&,:;<>?[]^`{|}'\"()")

LABEL_BYTES = [chr(byte) if byte in _AS_IS else f"\\{byte:03d}" for byte in range(256)]
"""How each byte of a label is written. A dot inside a label is `\\046`: written plain it would forge a label boundary."""

_NAME_BYTES = [*LABEL_BYTES]
_NAME_BYTES[ord(".")] = "."


class Undecodable(Exception):
    """Bytes that are not what they claim to be, or end too early. The decoder counts it and takes the next packet."""


def label_text(label: bytes) -> str:
    r"""Return a DNS label in RFC 1035 presentation form: bytes that no host name has are escaped as `\DDD`."""
    return "".join([LABEL_BYTES[byte] for byte in label])


def name_text(name: bytes) -> str:
    """Return a host name that the wire gives as one string (SNI): like `label_text`, dots being boundaries."""
    return "".join([_NAME_BYTES[byte] for byte in name])
