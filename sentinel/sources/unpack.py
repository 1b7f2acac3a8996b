"""Decompression as a stream of chunks: what can be read is given out, and only then is said what cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

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


def _decompressor(kind: str) -> tuple[Callable[[], Any], Any]:
    """Return what makes a decompressor, and what it raises. Each library is loaded where a stream needs it."""
    if kind == "gz":
        import zlib

        from isal import isal_zlib

        return lambda: isal_zlib.decompressobj(wbits=31), (isal_zlib.error, zlib.error)
    if kind == "zst":
        from backports import zstd

        options: Any = {zstd.DecompressionParameter.window_log_max: 27}
        return lambda: zstd.ZstdDecompressor(options=options), (zstd.ZstdError,)
    if kind == "xz":
        import lzma

        return lzma.LZMADecompressor, (lzma.LZMAError,)
    import bz2

    return bz2.BZ2Decompressor, ()


def _members(file: Readable, kind: str) -> Iterator[bytes]:
    """Yield the content of gz, zst, xz or bz2 members that follow each other, as rotation by appending makes them."""
    waiting = b""
    first = True
    decompressor, errors = _decompressor(kind)
    errors += (OSError, EOFError)
    while True:
        waiting = waiting or file.read(COMPRESSED)
        if not waiting:
            return
        if not first and not waiting.strip(b"\x00"):  # tapes and block devices pad with zeros
            waiting = b""
            continue
        engine = decompressor()
        try:
            yield from _one(engine, file, waiting, kind)
        except errors as error:
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
