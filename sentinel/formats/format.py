"""What a log format is: how to recognise its records, and what one of them says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from sentinel.observation import Observation

Spelling = Literal["plain", "json", "zeek", "percent", "labels", "wire"]
"""How a host name may be written in a format's records; the matcher compiles needles for each (`signatures/spelling.py`)."""


class Malformed(Exception):
    """A record that is not what its format says. The reader counts it, keeps a sample and reads on."""


class Clock(Protocol):
    """Turns a time without a year or a zone into UTC. One per stream of records; see `formats/clock.py`."""

    def local(self, naive: datetime) -> datetime:
        """Return *naive*, a local time of the device that wrote it, in UTC."""

    def without_year(self, month: int, day: int, hour: int, minute: int, second: int, microsecond: int = 0) -> datetime:
        """Return the UTC time of a date that carries no year."""

    def undated(self) -> datetime:
        """Return what stands for the UTC time of a record that carries none at all."""

    def month_and_day(self, first: int, second: int, month_first: bool) -> tuple[int, int]:
        """Return month and day of a date in numbers; *month_first* is likely where nothing else tells."""


@dataclass(slots=True)
class Stream:
    """What a reader knows of the stream that a record came from. `header` is part of the source's position."""

    clock: Clock
    header: tuple[str, ...] = ()  # whatever the format's `read_header` or `parse` made of records so far; JSON-able


Recognise = Callable[[Sequence[bytes]], float]
Parse = Callable[[bytes, Stream], Sequence[Observation]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFormat:
    """One log format.

    recognise: the share, 0.0 to 1.0, of the records (without line ends) that look like this format.
    signs: bytes of which some stand in any records that it recognises: it is asked about no others. Empty: about all.
    parse: what one record says: no observation for a record that is well formed but tells of no access (a start-up message, a
        header), one, or several. Raises `Malformed` and nothing else, whatever the bytes.
    header_starts: what the records begin with that change how later ones are read; they are needles as well.
    since: the release since which it has been tested so.
    binary: its records are no text: nothing is cleaned off them, and no other format is asked.
    made_as: code of its own, a mapping (data), or a reader of a binary container.
    read_header: (record, header so far) -> header from here on; only called for records with such a beginning.
    follow: what later records hold that go on with what `parse` put into the stream's header; they are needles as well.
    """

    name: str
    title: str
    reference: str
    spelling: Spelling = "plain"
    recognise: Recognise
    parse: Parse
    signs: tuple[bytes, ...] = ()
    yields: tuple[str, ...] = ()
    header_starts: tuple[bytes, ...] = ()
    read_header: Callable[[bytes, tuple[str, ...]], tuple[str, ...]] | None = None
    follow: Callable[[Sequence[str]], Sequence[bytes]] | None = None
    version: int = 1
    binary: bool = False
    tested_with: str = field(default="samples only")
    since: str = "0.1.0"
    made_as: Literal["code", "mapping", "reader"] = "code"


def cleaned(record: bytes) -> bytes:
    """Return a record without what is not its own: a byte order mark, padding with NULs, the CR of a CRLF line end."""
    return record.removeprefix(b"\xef\xbb\xbf").strip(b"\0").removesuffix(b"\r")


def as_text(record: bytes) -> str:
    """Return a record as text; bytes that are not UTF-8 become surrogate escapes, so that nothing is lost or raised."""
    return record.decode("utf-8", "surrogateescape")


def utc_from_epoch(seconds: int, microseconds: int = 0) -> datetime:
    """Return the UTC time of Unix *seconds*.

    Raises:
        Malformed: Out of the range a date can have.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
    except (ValueError, OverflowError, OSError) as error:
        raise Malformed(f"the time {seconds}: {error}") from error
