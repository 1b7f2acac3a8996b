"""Keys: who may say which rules are in force.

They are Ed25519 (RFC 8032) in PEM files, as `openssl genpkey -algorithm ed25519` writes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, load_pem_public_key

from sentinel.problems import Problem, Problems

CONTEXT = b"sentinel rules pack 1\n"
"""Signed in front of the manifest, so that a signature made for something else is none of a pack."""

LARGEST = 64 * 1024
"""Bytes of a key's file that are read."""


class LockedKeyError(Exception):
    """A private key needs its passphrase, and none or a wrong one was given."""


def key_id(key: Ed25519PublicKey) -> str:
    """Return what names a key: the first half of the SHA-256 of its 32 bytes, hex."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:32]


def public_keys(paths: Sequence[Path]) -> dict[str, Ed25519PublicKey]:
    """Return the public keys that files hold, by their ids.

    Raises:
        Problems: Every file that cannot be read or is no such key.
    """
    keys: dict[str, Ed25519PublicKey] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            key = load_pem_public_key(_read(path))
        except Problems as found:
            problems += found.problems
            continue
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if isinstance(key, Ed25519PublicKey):
            keys[key_id(key)] = key
        else:
            mend = "Give the public half, as `openssl pkey -in KEY -pubout` writes it."
            problems.append(Problem(str(path), 0, "holds no Ed25519 public key in PEM form", mend))
    if problems:
        raise Problems(problems)
    return keys


def private_key(path: Path, passphrase: str | None = None) -> Ed25519PrivateKey:
    """Return the private key that a file holds.

    Raises:
        Problems: It cannot be read or is no such key.
        LockedKeyError: It needs a passphrase, and *passphrase* is not it.
    """
    try:
        key = load_pem_private_key(_read(path), passphrase.encode() if passphrase else None)
    except TypeError as error:  # encrypted and no passphrase, or a passphrase and not encrypted
        raise LockedKeyError(str(error)) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        if passphrase:
            raise LockedKeyError("the passphrase does not fit") from error
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        mend = "Make one with `openssl genpkey -algorithm ed25519 -out KEY`."
        raise Problems([Problem(str(path), 0, "holds no Ed25519 private key in PEM form", mend)])
    return key


def signed(manifest: bytes, key: Ed25519PrivateKey) -> tuple[str, bytes]:
    """Return the id of *key* and its signature of *manifest*."""
    return key_id(key.public_key()), key.sign(CONTEXT + manifest)


def signers(manifest: bytes, signatures: Mapping[str, bytes], trusted: Mapping[str, Ed25519PublicKey]) -> list[str]:
    """Return the ids of those *trusted* keys that signed *manifest*; empty when none did."""
    found = []
    for name, signature in signatures.items():
        if name not in trusted:
            continue
        try:
            trusted[name].verify(signature, CONTEXT + manifest)
        except InvalidSignature:
            continue
        found.append(name)
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise Problems(
            [Problem(str(path), 0, f"cannot be read: {error.strerror}", "Check the path and the permissions.")]
        ) from error
