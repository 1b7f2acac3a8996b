"""Takes a Windows event log (EVTX) apart, chunk by chunk, so that a damaged one takes no other along and none is held but one.

A chunk's events are made into JSON by the library `evtx`. The tables of strings and templates in a chunk's header are emptied
before: they are lists of where to look first, which a damaged chunk can make endless, and nothing is lost without them.

Reference: https://github.com/libyal/libevtx/blob/main/documentation/Windows%20XML%20Event%20Log%20(EVTX).asciidoc
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SIGN = b"ElfFile\0"
FILE_HEADER = 4096
CHUNK_SIZE = 65536
CHUNK_HEADER = 512
CHUNK_SIGN = b"ElfChnk\0"
TABLES = slice(128, CHUNK_HEADER)
RECORD_SIGN = b"**\0\0"
_RECORD = struct.Struct("<4sIQ")
MOST = CHUNK_SIZE // _RECORD.size
"""Events of a chunk; whatever a damaged one claims, it is not asked for more."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: where its bytes lie in the file, those bytes, and what they say, as JSON."""

    place: int
    raw: bytes
    json: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that cannot be read: where it begins, and why."""

    place: int
    reason: str


def events(file: BinaryIO) -> Iterator[Event | Broken]:
    """Yield the events of a log, in the order of the file, and what of it cannot be read."""
    header = bytearray(file.read(FILE_HEADER))
    if len(header) < FILE_HEADER or not header.startswith(SIGN):
        yield Broken(0, "no whole header of a Windows event log")
        return
    struct.pack_into("<QQ", header, 8, 0, 0)  # the library is given one chunk at a time, the first and last
    struct.pack_into("<H", header, 42, 1)
    at = FILE_HEADER
    while chunk := file.read(CHUNK_SIZE):
        if chunk.startswith(CHUNK_SIGN):
            yield from _chunk(bytes(header), chunk, at)
        elif any(chunk):  # one that was never used is empty
            yield Broken(at, "a damaged chunk of events")
        if len(chunk) < CHUNK_SIZE:
            yield Broken(at + len(chunk), "the file ends inside a chunk")
        at += CHUNK_SIZE


def _chunk(header: bytes, chunk: bytes, at: int) -> Iterator[Event | Broken]:
    import evtx

    known = _records(chunk)
    emptied = bytearray(chunk.ljust(CHUNK_SIZE, b"\0"))
    emptied[TABLES] = bytes(CHUNK_HEADER - TABLES.start)
    given: set[int] = set()
    broken: str | None = None
    try:
        read = iter(evtx.PyEvtxParser(io.BytesIO(header + emptied), number_of_threads=1).records_json())
        for _ in range(MOST):
            try:
                event = next(read, None)
            except RuntimeError as error:  # this event does not come apart; the next one may
                broken = str(error)
                continue
            if event is None:
                break
            number, text = event["event_record_id"], event["data"].replace("\n", " ")
            place, size = known.get(number, (0, 0))
            given.add(number)
            yield Event(at + place, chunk[place : place + size] if size else text.encode(), text)
    except (RuntimeError, OSError) as error:
        broken = str(error)
    missing = [place for number, (place, _size) in known.items() if number not in given]
    for place in missing:
        yield Broken(at + place, f"an event that does not come apart: {broken or 'the library passed it over'}")
    if broken and not missing:
        yield Broken(at, f"a damaged chunk of events: {broken}")


def _records(chunk: bytes) -> dict[int, tuple[int, int]]:
    """Return offset and size of each record of a chunk by its number, as far as they follow each other."""
    found: dict[int, tuple[int, int]] = {}
    at = CHUNK_HEADER
    while at + _RECORD.size <= len(chunk):
        sign, size, number = _RECORD.unpack_from(chunk, at)
        if sign != RECORD_SIGN or size < _RECORD.size or at + size > len(chunk):
            break
        found.setdefault(number, (at, size))
        at += size
    return found
