"""A pack: a catalog as one file that can be carried anywhere, signed, numbered, and good until a date.

It is a ZIP archive of service files, of `manifest.json`, which names each file with its SHA-256, and of `manifest.sig`, the
manifest's Ed25519 signatures. Nothing of it is ever unpacked to disk. Whoever made the file may be an enemy until the signature
is checked, and that comes first: of an unsigned pack nothing but those two members is looked at.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sentinel.signatures import trust

SUFFIX = ".pack"
MANIFEST = "manifest.json"
SIGNATURES = "manifest.sig"

LARGEST = 32 * 1024 * 1024
"""Bytes of a pack; a catalog of a thousand services has less than one of them."""

LARGEST_MEMBER = 4 * 1024 * 1024
MOST_MEMBERS = 20_000
MOST_BYTES = 128 * 1024 * 1024
"""Bytes of all members together, unpacked."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every member, so that the same catalog, number and dates make the same bytes."""


class BadPackError(Exception):
    """The file is no pack that may be used. The message says why, in words for whoever tries to install it."""


class Listed(BaseModel):
    """What a manifest says of one service file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: int = Field(ge=0, le=LARGEST_MEMBER)


class Manifest(BaseModel):
    """What is signed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(min_length=1, max_length=200)
    version: int = Field(ge=1, lt=2**63, strict=True)
    created: AwareDatetime
    expires: AwareDatetime
    files: dict[str, Listed]


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack whose signature and digests are right. `documents` are its service files by their names inside it."""

    manifest: Manifest
    signers: Sequence[str]
    documents: Mapping[str, bytes]
    digest: str  # SHA-256 of the file, hex
    path: str  # where it came from, for messages

    @property
    def version(self) -> int:
        """Its number; a later pack has a higher one."""
        return self.manifest.version

    def expired(self, now: datetime) -> bool:
        """Return whether its time has passed."""
        return now >= self.manifest.expires


def build(
    documents: Mapping[str, bytes],
    key: Ed25519PrivateKey,
    *,
    name: str,
    version: int,
    created: datetime,
    expires: datetime,
) -> bytes:
    """Return a pack of *documents*, signed with *key*.

    Raises:
        BadPackError: A name or a size is one that no reader would take.
    """
    listed = {path: Listed(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for path, data in sorted(documents.items())}
    times = {"created": created.astimezone(UTC), "expires": expires.astimezone(UTC)}
    manifest = Manifest(schema=1, name=name, version=version, files=listed, **times)
    text = json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=1, sort_keys=True).encode()
    signer, signature = trust.signed(text, key)
    signatures = json.dumps({signer: base64.b64encode(signature).decode()}).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, data in [(MANIFEST, text), (SIGNATURES, signatures), *sorted(documents.items())]:
            member = zipfile.ZipInfo(path, EPOCH)
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    data = made.getvalue()
    opened(data, {signer: key.public_key()}, name)
    return data


def read_pack(path: Path, trusted: Mapping[str, Ed25519PublicKey]) -> Pack:
    """Return the pack in a file, as `opened` does.

    Raises:
        BadPackError: As `opened` does.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return opened(file.read(LARGEST + 1), trusted, str(path))


def opened(data: bytes, trusted: Mapping[str, Ed25519PublicKey], name: str) -> Pack:
    """Return the pack that *data* is, its signature by one of the *trusted* keys and all digests checked; not its dates.

    Raises:
        BadPackError: It is none, not signed so, changed, or made to harm whoever unpacks it.
    """
    if len(data) > LARGEST:
        raise BadPackError(f"is larger than {LARGEST} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive)
            text = _content(archive, members, MANIFEST)
            signed_by = trust.signers(text, _signatures(_content(archive, members, SIGNATURES)), trusted)
            if not signed_by:
                raise BadPackError("is not signed by a key that is trusted here")
            manifest = _manifest(text)
            documents = _documents(archive, members, manifest)
    # All that zipfile raises for damage: a bad offset is an OSError or a ValueError, an unknown method NotImplementedError.
    except (
        zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, OverflowError, NotImplementedError, RuntimeError,
        struct.error,
    ) as error:  # fmt: skip
        raise BadPackError(f"is no ZIP archive that can be read: {error}") from error
    return Pack(manifest, signed_by, documents, hashlib.sha256(data).hexdigest(), name)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name; none of them is a trick, and all together are of a size that can be read."""
    listed = archive.infolist()
    if len(listed) > MOST_MEMBERS:
        raise BadPackError(f"holds more than {MOST_MEMBERS} files")
    if sum(member.file_size for member in listed) > MOST_BYTES:
        raise BadPackError(f"would grow beyond {MOST_BYTES} bytes when unpacked")
    members: dict[str, zipfile.ZipInfo] = {}
    folded: set[str] = set()
    for member in listed:
        _refuse_tricks(member)
        if member.filename.casefold() in folded:  # one reader would take the first, another the last
            raise BadPackError(f"holds {member.filename!r} twice")
        folded.add(member.filename.casefold())
        members[member.filename] = member
    return members


def _refuse_tricks(member: zipfile.ZipInfo) -> None:
    name = member.orig_filename  # zipfile itself cuts at a NUL, and turns the platform's separators into slashes
    leads_out = any(part in ("", ".", "..") for part in name.split("/"))
    if leads_out or name != member.filename or "\\" in name or ":" in name or not name.isprintable():
        raise BadPackError(f"holds a file whose name leads elsewhere: {name!r}")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or member.is_dir():
        raise BadPackError(f"holds {name!r}, which is a link or something else that is no plain file")
    if member.flag_bits & 0x1:
        raise BadPackError(f"holds {name!r} encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadPackError(f"holds {name!r} in a compression that packs do not use")
    if member.file_size > LARGEST_MEMBER:
        raise BadPackError(f"holds {name!r}, which would grow beyond {LARGEST_MEMBER} bytes when unpacked")


def _content(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str) -> bytes:
    if name not in members:
        raise BadPackError(f"holds no {name}: it is no pack, or it is not signed")
    # With a bound: without one, zipfile inflates all that is there before it cuts at the size that the header says.
    with archive.open(members[name]) as member:
        return member.read(members[name].file_size + 1)


def _signatures(text: bytes) -> dict[str, bytes]:
    try:
        listed = json.loads(text)
        return {str(key): base64.b64decode(value, validate=True) for key, value in listed.items()}
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise BadPackError(f"its {SIGNATURES} cannot be read") from error


def _manifest(text: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadPackError(f"its manifest is of a kind that this version does not know: {where}: {first['msg']}") from error


def _documents(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], manifest: Manifest) -> dict[str, bytes]:
    there = set(members) - {MANIFEST, SIGNATURES}
    if there != set(manifest.files):
        odd = min(there ^ set(manifest.files))
        raise BadPackError(f"holds other files than its manifest names: {odd!r}")
    documents = {}
    for name, listed in manifest.files.items():
        data = _content(archive, members, name)
        if len(data) != listed.size or hashlib.sha256(data).hexdigest() != listed.sha256:
            raise BadPackError(f"its file {name!r} was changed: it has not the digest that the manifest names")
        documents[name] = data
    return documents
