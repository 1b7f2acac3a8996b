"""Files that lie there already: every packing gives the same records, and damage costs what is damaged, no more."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.sources.archive import Archive
from sentinel.sources.batch import Batch, Loss
from sentinel.sources.places import files
from sentinel.sources.rotated import key_of

LOG = b"".join(b"2026-03-01T10:00:00Z client 10.0.0.%d asked for %d.example\n" % (n % 250, n * n * n) for n in range(30_000))


def zipped(data: bytes, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", how) as archive:
        archive.writestr(zipfile.ZipInfo("logs/access.log", (2026, 3, 1, 10, 0, 0)), data, how)
    return packed.getvalue()


def tarred(data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("logs/access.log")
        member.size, member.mtime = len(data), 1_772_359_200
        archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "zst": zstd.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda data: gzip.compress(tarred(data)),
    "tar.xz": lambda data: lzma.compress(tarred(data)),
    "tar of gz": lambda data: tarred(gzip.compress(data)),
    "zip of zst": lambda data: zipped(zstd.compress(data)),
    "zip in tar": lambda data: tarred(zipped(data)),
}


def read(path: Path | str, **options: Any) -> tuple[bytes, list[Loss], list[Batch]]:
    """Return all bytes of a file, what was lost, and the batches (whose data is gone)."""
    data, losses, batches = b"", [], []
    for batch in Archive(str(path), **options).batches():
        data += bytes(batch.data)
        losses += batch.losses
        batches.append(batch)
    return data, losses, batches


@pytest.mark.integration
@pytest.mark.parametrize("packing", PACKINGS)
def test_each_packing_gives_the_same_records_and_the_same_key(tmp_path, packing):
    """An investigation gets logs as the archive keeps them; the key is what joins a log with its compressed copy."""
    path = tmp_path / "x"  # the name says nothing: logs are found under any
    path.write_bytes(PACKINGS[packing](LOG))
    (tmp_path / "plain").write_bytes(LOG)
    data, losses, batches = read(path)
    assert (data, losses) == (LOG, [])
    assert {batch.input.key for batch in batches} == {key_of(str(tmp_path / "plain"))}
    assert [batch.ends for batch in batches] == [False] * (len(batches) - 1) + [True]
    assert batches[0].input.modified is not None


@pytest.mark.parametrize("packing", ["gz", "zst", "xz", "bz2"])
def test_a_long_first_record_gives_the_same_key_in_each_packing(tmp_path, packing):
    """JSON records are often longer than what is read to recognise the packing."""
    log = b'{"time": "2026-03-01T10:00:00Z", "filler": "' + b"x" * 3000 + b'"}\n'
    (tmp_path / "plain").write_bytes(log)
    (tmp_path / "packed").write_bytes(PACKINGS[packing](log))
    keys = {batch.input.key for name in ("plain", "packed") for batch in read(tmp_path / name)[2]}
    assert keys == {key_of(str(tmp_path / "plain"))}


@pytest.mark.integration
@pytest.mark.parametrize("packing", ["gz", "zst", "xz", "bz2"])
def test_several_compressed_members_in_a_file_are_one_stream(tmp_path, packing):
    """Appending a compressed file to another is how some rotation merges logs."""
    pack = PACKINGS[packing]
    (tmp_path / "x").write_bytes(pack(LOG) + pack(b"") + pack(LOG))
    assert read(tmp_path / "x")[:2] == (LOG + LOG, [])


@pytest.mark.integration
@pytest.mark.parametrize("packing", ["gz", "zst", "xz", "bz2", "zip"])
def test_what_grows_a_thousandfold_is_read_to_its_end_in_small_pieces(tmp_path, packing):
    """A bomb, or a day on which one client asked for one name: the memory must not follow it."""
    line = b"2026-03-01T10:00:00Z the same again\n"
    (tmp_path / "x").write_bytes(PACKINGS[packing](line * 200_000))
    seen, largest = 0, 0
    for batch in Archive(str(tmp_path / "x")).batches():
        assert not batch.losses
        seen += len(batch.data)
        largest = max(largest, len(batch.data))
    assert seen == len(line) * 200_000
    assert largest <= 3 << 20


@pytest.mark.integration
@pytest.mark.parametrize("packing", [name for name in PACKINGS if name not in ("plain", "zip in tar")])
@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_a_truncated_archive_gives_what_is_left_and_says_so(tmp_path, packing, keep):
    """Disks fill up and copies break off: what is there is evidence all the same, and the input is not complete."""
    whole = PACKINGS[packing](LOG)
    (tmp_path / "x").write_bytes(whole[: int(len(whole) * keep)])
    data, losses, _ = read(tmp_path / "x")
    assert LOG.startswith(data)
    assert losses or (packing == "tar" and data == LOG)  # only the empty blocks at a tar's end are missing then
    if packing not in ("bz2", "tar.xz"):  # they hand out large blocks: little may be left
        assert len(data) > len(LOG) * keep * 0.3


@pytest.mark.parametrize("packing", [name for name in PACKINGS if name != "plain"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_a_loss_and_never_an_exception(tmp_path, packing, data):
    """Reading goes on with the next file, whatever stands in this one."""
    whole = bytearray(PACKINGS[packing](LOG[:20_000]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "x").write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    _, _, batches = read(tmp_path / "x")
    assert batches
    assert batches[-1].ends


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from([b"", b"\x1f\x8b\x08", b"PK\x03\x04", b"\xfd7zXZ\x00", b"BZh91AY&SY", b"(\xb5/\xfd", b"\xff\xfe"]),
    rest=st.binary(),
)
def test_any_bytes_are_read(tmp_path, start, rest):
    """Folders hold anything."""
    (tmp_path / "x").write_bytes(start + rest)
    read(tmp_path / "x")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 1_500_000), max_size=6), final=st.booleans())
def test_batches_hold_whole_records_at_their_offsets(tmp_path, sizes, final):
    """A finding's offset has to lead to its record, however records lie across the chunks."""
    log = b"\n".join(b"r%d" % n + b"x" * size for n, size in enumerate(sizes)) + (b"" if final or not sizes else b"\n")
    (tmp_path / "x").write_bytes(log)
    for batch in Archive(str(tmp_path / "x")).batches():
        data = bytes(batch.data)
        assert log[batch.offset : batch.offset + len(data)] == data
        assert batch.offset == 0 or log[batch.offset - 1 : batch.offset] == b"\n" or not data
        assert data.endswith(b"\n") or batch.ends or not data


@pytest.mark.parametrize("packing", ["plain", "gz"])
def test_a_record_without_end_is_left_out_and_told(tmp_path, packing):
    """Somebody will point Sentinel at a disk image: its memory must not grow with it."""
    long = b"x" * (5 << 20) + b"\n"
    (tmp_path / "x").write_bytes(PACKINGS[packing](LOG + long + LOG))
    data, losses, _ = read(tmp_path / "x")
    assert data == LOG + LOG
    assert [(loss.offset, loss.length) for loss in losses] == [(len(LOG), len(long))]


def test_utf_16_with_a_byte_order_mark_is_read_as_utf_8(tmp_path):
    """PowerShell writes it."""
    (tmp_path / "x").write_bytes("pimeyes.com\r\nmünchen.example\r\n".encode("utf-16"))
    assert read(tmp_path / "x")[0].decode() == "pimeyes.com\r\nmünchen.example\r\n"


@pytest.mark.integration
@pytest.mark.parametrize("packing", PACKINGS)
def test_the_digest_is_that_of_the_stored_bytes(tmp_path, packing):
    """It has to agree with what `sha256sum` says of the evidence; also when something stands after an archive's end."""
    stored = PACKINGS[packing](LOG) + b"\0" * 100_000
    (tmp_path / "x").write_bytes(stored)
    archive = Archive(str(tmp_path / "x"), digest=True)
    for _ in archive.batches():
        pass
    assert archive.sha256 == hashlib.sha256(stored).hexdigest()


def test_members_have_their_own_names_and_times(tmp_path):
    """The time bounds the year of records that carry none."""
    (tmp_path / "logs.tar").write_bytes(tarred(LOG))
    _, _, batches = read(tmp_path / "logs.tar")
    assert batches[0].input.path == f"{tmp_path}/logs.tar!logs/access.log"
    assert batches[0].input.modified == datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_what_cannot_be_opened_is_a_loss(tmp_path):
    """The inquiry goes on, and its result says what is missing."""
    _, losses, _ = read(tmp_path / "absent")
    assert len(losses) == 1


def test_folders_are_walked_in_order_and_loops_end(tmp_path):
    """The same input has to give the same result each time; a link to the folder above is no reason to go round for ever."""
    for name in ("b/2.log", "b/1.log", "a.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with contextlib.suppress(OSError):
        (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert files([str(tmp_path), str(tmp_path / "a.log")]) == [str(tmp_path / n) for n in ("a.log", "b/1.log", "b/2.log")]
