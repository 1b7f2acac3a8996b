"""What a source hands to the engine: whole records, where they lay, and how to go on after them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Position = Mapping[str, Any]
"""JSON-able, opaque to all but the source that made it. Committed in the same transaction as what the batch yielded."""


@dataclass(frozen=True, slots=True)
class Input:
    """One stream of bytes: a file, or one member of an archive."""

    path: str  # as shown to people: "/var/log/squid/access.log.2.gz", "logs.tar.xz!squid/access.log"
    key: str  # stable across rename, rotation and compression: a digest of the stream's first bytes
    modified: datetime | None = None  # UTC; of the file or archive member; bounds the year of times that have none
    inode: int | None = None
    format: str | None = None  # forced by the configuration or --format
    zone: str | None = None  # IANA name for times that carry none
    mixed: bool = False  # several programs write to it: any record may be of another format than the first ones


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes that could not be read as records."""

    offset: int
    length: int | None  # None: unknown, everything after the offset
    reason: str


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where the records of a container lie in a batch's data: they are no lines.

    `places` says where each can be found again: the offset in the input's own bytes, or the number of a database's row.
    `raws` are the records' own bytes, where the data hold a rendering of them as text.
    """

    starts: Sequence[int]  # rising
    ends: Sequence[int]
    places: Sequence[int]
    raws: Sequence[bytes] | None = None

    @classmethod
    def of(cls, records: Sequence[bytes], place: int, gap: int) -> Cuts:
        """Return the cuts of *records* that lie one after the other, *gap* bytes between them, the first one at *place*."""
        starts, ends, at = [], [], 0
        for record in records:
            starts.append(at)
            ends.append(at + len(record))
            at += len(record) + gap
        return cls(starts, ends, [place + start for start in starts])


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records of one input, in their order.

    `data` is valid only until the next batch is asked for (the buffer is reused): copy what is to be kept. Records end with
    a newline; only the last one of an input may lack it.
    """

    input: Input
    data: memoryview
    offset: int  # of data[0] in the input's own, decompressed bytes
    position: Position
    arrived: datetime  # UTC
    ends: bool = False  # the input is at its end for good (rotated away, archive member done)
    caught_up: bool = False  # nothing more to read for now: event time may be taken from the wall clock
    losses: tuple[Loss, ...] = field(default=())
    probe: Callable[[], Sequence[bytes]] | None = None
    """Of an input's first batch, where it can be read out of order: records at increasing offsets, the last one included."""
    cuts: Cuts | None = None  # of a container; None: the records are lines
    connection: int | None = None
    """Of records that are sent again when their sender does not know whether they arrived: the connection that they came over.
    Such a record is known by what it says: an equal one, the same number of times on another connection, is the same."""
