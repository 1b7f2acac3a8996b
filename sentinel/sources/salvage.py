"""Reads what is left of a zip that has lost its end, and with it its table of contents."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from sentinel.sources.records import CHUNK
from sentinel.sources.unpack import COMPRESSED, Damaged

SIGNATURE = b"PK\x03\x04"
STORED, DEFLATED = 0, 8
ENCRYPTED, SIZE_FOLLOWS = 0x01, 0x08  # flag bits
_HEADER = struct.Struct("<4xHHH4xIIIHH")


@dataclass(slots=True)
class Member:
    """A file in a zip, as the header before its content tells it (APPNOTE.TXT 4.3.7)."""

    name: str
    flags: int
    method: int
    size: int  # compressed bytes; 0 when `SIZE_FOLLOWS`


def members(file: BinaryIO) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Yield each member that has a header, with its content; that has to be read before the next member is asked for.

    The content raises `Damaged` where it ends too early or cannot be read.
    """
    at = 0
    while (at := _find(file, at)) >= 0:
        file.seek(at)
        header = file.read(30)
        if len(header) < 30:
            return
        _version, flags, method, _crc, size, _full, name_length, extra = _HEADER.unpack(header)
        name = file.read(name_length).decode("utf-8", "replace")
        at += 30 + name_length + extra
        file.seek(at)
        member = Member(name, flags, method, size)
        yield member, _content(file, member)
        at += 0 if flags & SIZE_FOLLOWS else size


def _find(file: BinaryIO, at: int) -> int:
    """Return where the next header begins, -1 when there is none."""
    while True:
        file.seek(at)
        data = file.read(CHUNK)
        found = data.find(SIGNATURE)
        if found >= 0:
            return at + found
        if len(data) < CHUNK:
            return -1
        at += len(data) - len(SIGNATURE) + 1


def _content(file: BinaryIO, member: Member) -> Iterator[bytes]:
    if member.flags & ENCRYPTED:
        raise Damaged("zip: encrypted")
    if member.method == STORED and not member.flags & SIZE_FOLLOWS:
        yield from _stored(file, member.size)
    elif member.method == DEFLATED:
        yield from _inflated(file)
    else:
        raise Damaged(f"zip: compression method {member.method}")


def _stored(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        piece = file.read(min(CHUNK, size))
        if not piece:
            raise Damaged("zip: truncated")
        size -= len(piece)
        yield piece


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    data = b""
    try:
        while not engine.eof:
            data = data or file.read(COMPRESSED)
            if not data:
                raise Damaged("zip: truncated")
            piece = engine.decompress(data, CHUNK)
            data = engine.unconsumed_tail
            if piece:
                yield piece
    except zlib.error as error:
        raise Damaged(f"zip: {error}") from error
