"""The lines that a server wrote into a log, or through syslog into a collector's, each with its time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from sentinel.formats.clock import StreamClock
from sentinel.formats.envelope import peel
from sentinel.formats.format import Malformed
from sentinel.formats.times import read_time
from sentinel.identity.binding import NotIdentity

YEAR = re.compile(r"\b\d{4}\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stamped:
    """One line of a log: its time in UTC, its text without a syslog header, and the whole of it."""

    time: datetime
    message: str
    record: str


def stamped(text: str, sign: str, zone: tzinfo, modified: datetime | None, *, program: str | None = None) -> Iterator[Stamped]:
    """Yield the lines that hold *sign* and whose syslog header says their time, of *program* alone where it is given.

    Times without a zone are in *zone*, those without a year lie before *modified*.

    Raises:
        NotIdentity: Their times carry no year, and *modified* is None.
    """
    clock = StreamClock(zone, modified)
    for line in text.split("\n"):
        if sign not in line:  # a collector's file holds everybody's lines
            continue
        peeled = peel(line.rstrip("\r"))
        if peeled.time_text is None or program not in (None, peeled.program):
            continue
        if modified is None and YEAR.search(peeled.time_text) is None:
            raise NotIdentity("its times carry no year, and when the file was last changed is not known")
        try:
            time = read_time(peeled.time_text, clock)
        except Malformed:
            continue
        yield Stamped(time, peeled.message, line.rstrip("\r"))
