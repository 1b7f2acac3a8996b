"""A server's first flight: the names in the certificate that TLS 1.2 and older show in the clear.

References: RFC 5246 sections 7.4.1.3 and 7.4.2; names RFC 9525. TLS 1.3 encrypts the certificate.
"""

from __future__ import annotations

import struct
import warnings
from functools import cache
from typing import TYPE_CHECKING

from sentinel.packets.wire import Undecodable, name_text

if TYPE_CHECKING:
    from collections.abc import Callable

HANDSHAKE, SERVER_HELLO, CERTIFICATE = 0x16, 2, 11
VERSIONS = 43
LARGEST_FLIGHT = 64 * 1024
MOST_NAMES = 100
"""Of one certificate. One with more is a content network's, and tells nothing of where a client went."""


def is_server_hello(start: bytes) -> bool:
    """Return whether a segment begins with a record that begins with a ServerHello."""
    return len(start) >= 6 and start[0] == HANDSHAKE and start[1] == 3 and start[5] == SERVER_HELLO


def leaf(stream: bytes | bytearray) -> bytes | None:
    """Return the server's own certificate, in DER, from the records at the start of *stream*; None while more is to come.

    Raises:
        Undecodable: There is none to come: no server's flight, TLS 1.3, or a resumed session.
    """
    flight, ended = _handshake(stream)
    at = 0
    while at + 4 <= len(flight):
        kind, size = flight[at], int.from_bytes(flight[at + 1 : at + 4], "big")
        if at == 0 and kind != SERVER_HELLO:
            raise Undecodable("no ServerHello")
        if at + 4 + size > LARGEST_FLIGHT:
            raise Undecodable("a handshake longer than we care for")
        body = flight[at + 4 : at + 4 + size]
        if len(body) < size:
            break
        if kind == SERVER_HELLO and _is_encrypted_from_here(body):
            raise Undecodable("TLS 1.3")
        if kind == CERTIFICATE:
            return _first(body)
        at += 4 + size
    if ended:
        raise Undecodable("a handshake without a certificate")
    return None


def _handshake(stream: bytes | bytearray) -> tuple[bytes, bool]:
    """Return the handshake bytes in the records so far, and whether something else follows them."""
    parts: list[bytes] = []
    at = 0
    while at + 5 <= len(stream):
        if stream[at] != HANDSHAKE:
            return b"".join(parts), True
        size = stream[at + 3] << 8 | stream[at + 4]
        parts.append(bytes(stream[at + 5 : at + 5 + size]))
        at += 5 + size
    return b"".join(parts), len(stream) > LARGEST_FLIGHT


def _is_encrypted_from_here(body: bytes) -> bool:
    try:
        at = 35 + body[34] + 3  # version, random, session id; the cipher, compression
        end = at + 2 + struct.unpack_from(">H", body, at)[0] if at < len(body) else at
        at += 2
        while at < end:
            kind, size = struct.unpack_from(">HH", body, at)
            if kind == VERSIONS:
                return True  # only TLS 1.3 chooses its version so
            at += 4 + size
    except (struct.error, IndexError) as error:
        raise Undecodable("a ServerHello that does not come apart") from error
    return False


def _first(body: bytes) -> bytes:
    size = int.from_bytes(body[3:6], "big")
    if not size or len(body) < 6 + size:
        raise Undecodable("an empty list of certificates")
    return body[6 : 6 + size]


def names(der: bytes) -> tuple[str, ...]:
    """Return the host names that a certificate is for, in their order; of `*.example.org` what follows the star.

    The alternative names count; the common name only without them, and only when it is a host's.

    Raises:
        Undecodable: It is no certificate.
    """
    from cryptography import x509
    from cryptography.utils import CryptographyDeprecationWarning

    try:
        with warnings.catch_warnings():  # it warns of certificates that break rules which do not concern names
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            certificate = x509.load_der_x509_certificate(der)
        try:
            told = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            found = [str(name) for name in told.get_values_for_type(x509.DNSName)]
        except x509.ExtensionNotFound:
            common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            found = [str(one.value) for one in common if "." in str(one.value) and " " not in str(one.value)]
    except (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise Undecodable("a certificate that does not come apart") from error
    plain = (name_text(name.encode("utf-8", "backslashreplace")).lower().removeprefix("*.") for name in found[: MOST_NAMES + 1])
    return tuple(dict.fromkeys(name for name in plain if name))


def of_one_site(found: tuple[str, ...]) -> bool:
    """Return whether all names lie below one registered domain, so that the certificate tells where a client went."""
    private = _registered()
    return len(found) <= MOST_NAMES and len({private(name) or name for name in found}) == 1


@cache
def _registered() -> Callable[[str], str | None]:
    from publicsuffixlist import PublicSuffixList  # 0.2 s to load, for the few captures that hold such a certificate

    found: Callable[[str], str | None] = PublicSuffixList().privatesuffix
    return found
