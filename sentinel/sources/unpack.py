"""Decompression as a stream of chunks: what can be read is given out, and only then is said what cannot."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from backports import zstd
from isal import isal_zlib

from sentinel.sources.records import CHUNK

COMPRESSED = 256 * 1024


class Damaged(Exception):
    """The stream cannot be read further. All before it was given out."""


class Readable(Protocol):
    """A binary file, as far as it is used here."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most *size* bytes, none at the end."""


def kind_of(head: bytes) -> str:
    """Return what the first bytes of a file say it is: gz, zst, xz, bz2, zip, tar, or plain."""
    if head.startswith(b"\x1f\x8b"):
        return "gz"
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and head[:1] and head[0] & 0xF0 == 0x50):
        return "zst"
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return "bz2"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head[257:262] == b"ustar":
        return "tar"
    return "plain"


def chunks(file: Readable, kind: str) -> Iterator[bytes]:
    """Yield the content of *file*, of a stream kind (gz, zst, xz, bz2, plain), in pieces of at most about a megabyte.

    Raises:
        Damaged: It is truncated or broken; everything before was yielded.
    """
    try:
        if kind == "plain":
            yield from iter(lambda: file.read(CHUNK), b"")
        else:
            yield from _members(file, kind)
    except (OSError, EOFError, ValueError) as error:
        raise Damaged(f"{kind}: {error}") from error


def _decompressor(kind: str) -> Any:
    if kind == "gz":
        return isal_zlib.decompressobj(wbits=31)
    if kind == "zst":
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 27})
    return lzma.LZMADecompressor() if kind == "xz" else bz2.BZ2Decompressor()


def _members(file: Readable, kind: str) -> Iterator[bytes]:
    """Yield the content of gz, zst, xz or bz2 members that follow each other, as rotation by appending makes them."""
    waiting = b""
    first = True
    while True:
        waiting = waiting or file.read(COMPRESSED)
        if not waiting:
            return
        if not first and not waiting.strip(b"\x00"):  # tapes and block devices pad with zeros
            waiting = b""
            continue
        engine = _decompressor(kind)
        try:
            yield from _one(engine, file, waiting, kind)
        except (  # type: ignore[misc]  # isal has no types
            isal_zlib.error,
            zlib.error,
            lzma.LZMAError,
            zstd.ZstdError,
            OSError,
            EOFError,
        ) as error:
            raise Damaged(f"{kind}: {error}") from error
        waiting, first = engine.unused_data, False


def _one(engine: Any, file: Readable, data: bytes, kind: str) -> Iterator[bytes]:
    while not engine.eof:
        if not data and (kind == "gz" or engine.needs_input):
            data = file.read(COMPRESSED)
            if not data:
                raise Damaged(f"{kind}: truncated")
        piece = engine.decompress(data, CHUNK)
        data = engine.unconsumed_tail if kind == "gz" else b""
        if piece:
            yield piece
