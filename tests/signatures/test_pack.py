"""Packs: what is signed comes back as it was, everything else is refused in words, whatever an enemy made of the file."""

import base64
import contextlib
import io
import json
import stat
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sentinel.signatures import pack as packs
from sentinel.signatures.pack import MANIFEST, SIGNATURES, BadPackError, build, opened
from sentinel.signatures.trust import key_id, signed

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
TRUSTED = {key_id(KEY.public_key()): KEY.public_key()}
NOW = datetime(2026, 3, 1, 14, tzinfo=UTC)
DOCUMENTS = {"face-search/a.yaml": b"schema: 1\n", "face-search/b.yaml": b"schema: 1\nid: b\n"}


def built(documents=DOCUMENTS, key=KEY, version=7):
    return build(documents, key, name="rules", version=version, created=NOW, expires=NOW + timedelta(days=90))


def members_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def zipped(members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, data in members:
            archive.writestr(info, data)
    return made.getvalue()


def changed(name, content):
    return zipped([(info, content if info.filename == name else data) for info, data in members_of(built())])


def refused(data, words, trusted=TRUSTED):
    with pytest.raises(BadPackError, match=words):
        opened(data, trusted, "x.pack")


def test_a_pack_holds_what_went_in():
    """Its number, dates and documents, byte for byte."""
    pack = opened(built(), TRUSTED, "x.pack")
    assert (pack.documents, pack.version, list(pack.signers)) == (DOCUMENTS, 7, list(TRUSTED))
    assert not pack.expired(NOW + timedelta(days=89))
    assert pack.expired(NOW + timedelta(days=90))


def test_the_same_rules_make_the_same_bytes():
    """Two people can build one and compare digests."""
    assert built() == built(dict(reversed(DOCUMENTS.items())))


def test_a_pack_of_another_key_is_refused():
    """Anybody can sign."""
    refused(built(key=OTHER), "not signed by a key that is trusted")


def test_a_pack_that_carries_no_signature_is_refused():
    """Unsigned is not a weaker kind of signed."""
    refused(zipped([one for one in members_of(built()) if one[0].filename != SIGNATURES]), "is not signed")
    refused(changed(SIGNATURES, b"{}"), "not signed by a key that is trusted")
    refused(changed(SIGNATURES, b"[1]"), "cannot be read")


def test_a_signature_under_the_name_of_a_trusted_key_is_checked_with_that_key():
    """The name is only a hint."""
    manifest = next(data for info, data in members_of(built()) if info.filename == MANIFEST)
    forged = json.dumps({next(iter(TRUSTED)): base64.b64encode(signed(manifest, OTHER)[1]).decode()}).encode()
    refused(changed(SIGNATURES, forged), "not signed by a key that is trusted")


def test_a_changed_manifest_or_file_is_refused():
    """The signature covers the manifest, and the manifest every file."""
    manifest = next(data for info, data in members_of(built()) if info.filename == MANIFEST)
    refused(changed(MANIFEST, manifest.replace(b'"version": 7', b'"version": 8')), "not signed by a key")
    refused(changed("face-search/a.yaml", b"schema: 2\n"), "'face-search/a.yaml' was changed")


def test_a_file_too_many_or_too_few_is_refused():
    """What the manifest does not name was not signed."""
    more = zipfile.ZipInfo("face-search/c.yaml")
    refused(zipped([*members_of(built()), (more, b"x")]), "other files than its manifest names: 'face-search/c.yaml'")
    refused(zipped(members_of(built())[:-1]), "other files than its manifest names")


@pytest.mark.parametrize(
    "name", ["../evil.yaml", "/etc/evil.yaml", "a/../../b.yaml", "a//b", "a\\..\\b", "C:b", "./a", "dir/", "a\nb", "a\u202eb"]
)
def test_a_name_that_leads_elsewhere_is_refused_even_when_signed(name):
    """A key may be stolen; nothing is unpacked, and nothing ever should be."""
    with pytest.raises(BadPackError, match=r"leads elsewhere|no plain file"):
        built({name: b"x"})


def test_a_link_is_refused():
    """A symbolic link in an archive is how files outside get written."""
    link = zipfile.ZipInfo("face-search/l.yaml")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(zipped([*members_of(built()), (link, b"/etc/passwd")]), "a link or something else")


def test_the_same_name_twice_is_refused():
    """One reader would take the first, another the last: what was checked and what is used might differ."""
    again = zipfile.ZipInfo("face-search/A.yaml")
    with pytest.warns(UserWarning, match="Duplicate name"):
        refused(zipped([*members_of(built()), members_of(built())[-1]]), "holds 'face-search/b.yaml' twice")
    refused(zipped([*members_of(built()), (again, b"x")]), "holds 'face-search/A.yaml' twice")


def test_a_bomb_is_refused_before_it_is_unpacked():
    """A kilobyte may become gigabytes."""
    big = zipfile.ZipInfo("face-search/z.yaml")
    big.compress_type = zipfile.ZIP_DEFLATED
    refused(zipped([(big, bytes(packs.LARGEST_MEMBER + 1))]), "would grow beyond")
    refused(zipped([(zipfile.ZipInfo(f"{n}"), b"") for n in range(packs.MOST_MEMBERS + 1)]), "holds more than")


def test_a_bomb_that_lies_about_its_size_is_cut_off():
    """The header says ten bytes; no more than that is ever inflated."""
    big = zipfile.ZipInfo(MANIFEST)
    big.compress_type = zipfile.ZIP_DEFLATED
    data = bytearray(zipped([(big, bytes(8_000_000))]))
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = (10).to_bytes(4, "little")
    refused(bytes(data), "ZIP archive|not signed")


def test_a_pack_that_is_too_large_is_refused_unread():
    """A server may send for ever."""
    refused(b"PK" * packs.LARGEST, "is larger than")


@given(st.binary(max_size=400))
def test_any_bytes_are_a_pack_or_refused(data):
    """Whatever comes from the web ends in one kind of error."""
    with pytest.raises(BadPackError):
        opened(data, TRUSTED, "x.pack")


@given(st.integers(0, 1_000_000), st.integers(1, 255))
def test_a_pack_with_any_byte_changed_says_the_same_or_is_refused(place, flip):
    """Damage is found, wherever it is; bytes that mean nothing may differ."""
    data = bytearray(built())
    data[place % len(data)] ^= flip
    with contextlib.suppress(BadPackError):
        assert opened(bytes(data), TRUSTED, "x.pack").documents == DOCUMENTS


@given(st.integers(0, 1_000_000))
def test_a_pack_that_was_cut_short_is_refused(length):
    """A download may break off."""
    data = built()
    refused(data[: length % len(data)], "ZIP archive")
