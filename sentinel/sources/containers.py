"""Files whose records are no lines: dnstap, Windows event logs, and the databases of Pi-hole and of browsers.

dnstap        Frame Streams; a record is a frame, its place the offset of its length
EVTX          a record is an event, its place the offset of its bytes; it is parsed as JSON, which the library makes of it
SQLite        a record is a row, as JSON; its place is the row's number
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sentinel.formats.event_chunks import SIGN as EVTX
from sentinel.sources.batch import Batch, Cuts, Input, Loss
from sentinel.sources.frame_streams import FrameStream, begins_so
from sentinel.sources.framing import Desynchronised
from sentinel.sources.readables import fill
from sentinel.sources.records import CHUNK, HEAD, LONGEST, digest_of
from sentinel.sources.unpack import Damaged, Readable

SQLITE = b"SQLite format 3\0"

ROWS = 2000
"""Rows or events of a batch at most."""


def container_in(head: bytes) -> str | None:
    """Return what container a file with this beginning is: dnstap, evtx, sqlite; None: none."""
    if begins_so(head):
        return "dnstap"
    if head.startswith(EVTX):
        return "evtx"
    return "sqlite" if head.startswith(SQLITE) else None


def open_container(
    kind: str, stream: Readable, path: str, modified: datetime | None, *, where: str | None, zone: str | None
) -> Iterator[Batch]:
    """Yield the records of a container, whose kind `container_in` told. Damage is a `Loss`, never an exception.

    Args:
        kind: What it is.
        stream: Its bytes, from the beginning.
        path: What to call it.
        modified: When it was last changed.
        where: The file that it is; None where it is part of an archive or comes through a pipe.
        zone: IANA name of the zone of times that carry none.
    """
    if kind == "dnstap":
        yield from _frames(stream, path, modified, zone)
        return
    with contextlib.ExitStack() as stack:
        damage = None
        if where is None:
            held = stack.enter_context(tempfile.NamedTemporaryFile(prefix="sentinel-"))
            damage = _copied(stream, held)
            where = held.name
        else:
            while stream.read(CHUNK):  # its digest is that of all its bytes
                pass
        source = Input(path, kind, modified, None, None, zone)
        if kind == "evtx":
            from sentinel.sources.event_log import events

            yield from events(where, source, damage)
        else:
            from sentinel.sources.databases import rows

            yield from rows(where, source, damage)


def _copied(stream: Readable, held: Any) -> str | None:
    """Copy a stream into a file, for what has to be read in any order; return what is wrong with it, None when it is whole."""
    try:
        while piece := stream.read(CHUNK):
            held.write(piece)
    except Damaged as error:
        return str(error)
    finally:
        held.flush()
    return None


def _frames(stream: Readable, path: str, modified: datetime | None, zone: str | None) -> Iterator[Batch]:
    framing = FrameStream(LONGEST)
    source: Input | None = None
    frames: list[bytes] = []
    places: list[int] = []
    size = 0
    losses: tuple[Loss, ...] = ()
    while True:
        try:
            data = fill(stream, CHUNK)
            source = source or Input(path, digest_of(data[:HEAD]), modified, None, "dnstap", zone)
            for place, kind, frame in framing.feed(data):
                if kind is None:
                    frames.append(frame)
                    places.append(place)
                    size += len(frame)
        except (Damaged, Desynchronised) as error:
            losses += (Loss(framing.offset, None, f"damaged from here on: {error}"),)
            data = b""
        source = source or Input(path, digest_of(path.encode()), modified, None, "dnstap", zone)
        if framing.refused:
            losses += tuple(Loss(framing.offset, 1, f"a frame longer than {LONGEST} bytes") for _ in range(framing.refused))
            framing.refused = 0
        if not data and framing.broken_off:
            losses += (Loss(framing.offset, None, "the file ends inside a frame"),)
        if size >= CHUNK // 2 or not data:
            yield batch_of(source, frames, places, None, ends=not data, losses=losses)
            frames, places, size, losses = [], [], 0, ()
        if not data:
            return


def batch_of(
    source: Input,
    records: list[bytes],
    places: list[int],
    raws: list[bytes] | None,
    *,
    ends: bool = False,
    losses: tuple[Loss, ...] = (),
) -> Batch:
    """Return a batch of records, each with its place and, where it was rendered, its own bytes."""
    cuts = Cuts.of(records, 0, gap=1)
    cuts = Cuts(cuts.starts, cuts.ends, places, raws)
    data = memoryview(b"\n".join(records))
    at = places[-1] if places else 0
    return Batch(source, data, 0, {"offset": at}, datetime.now(UTC), ends=ends, losses=losses, cuts=cuts)
