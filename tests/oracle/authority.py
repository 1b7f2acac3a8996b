"""A certificate authority of the tests' own, and the site's certificate from it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Issued:
    """PEM files, and by what a browser can be told to believe the certificate without the authority."""

    authority: Path
    certificate: Path
    key: Path
    spki: str  # base64 of the SHA-256 of the certificate's public key


def issue(directory: Path, names: Sequence[str]) -> Issued:
    """Make an authority and let it certify *names*, for a day."""
    own, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sentinel's test authority")])
    root = _begin(issuer, issuer, own.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    leaf = _begin(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The town's site")]), issuer, key.public_key())
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key()), False),
    ):
        leaf = leaf.add_extension(extension, critical=critical)
    files = Issued(directory / "authority.pem", directory / "certificate.pem", directory / "key.pem", _spki(key.public_key()))
    files.authority.write_bytes(root.sign(own, hashes.SHA256()).public_bytes(PEM))
    files.certificate.write_bytes(leaf.sign(own, hashes.SHA256()).public_bytes(PEM))
    files.key.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files


def authority_of(directory: Path) -> Path:
    """Make an authority, and return the PEM file with its certificate and key."""
    own = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The town's proxy")])
    root = _begin(issuer, issuer, own.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    key = own.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = directory / "authority.pem"
    path.write_bytes(root.sign(own, hashes.SHA256()).public_bytes(PEM) + key)
    return path


def _begin(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _spki(key: ec.EllipticCurvePublicKey) -> str:
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()
