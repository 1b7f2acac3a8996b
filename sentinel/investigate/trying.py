"""What a format makes of a log, record by record: for whoever writes a mapping."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sentinel.activity.wording import defang
from sentinel.extract import records_in
from sentinel.formats import FORMATS
from sentinel.formats.clock import StreamClock, zone_of
from sentinel.formats.format import Malformed, Stream, cleaned
from sentinel.formats.mapping import KNOWN
from sentinel.formats.mapping.shapes import Row
from sentinel.observation import Observation, ip_address
from sentinel.schemas.text import clean, cut
from sentinel.sources.archive import Archive

NAMES = frozenset({"name", "names", "url", "answers"})
"""What a click, or a chat's preview, could look up: shown defanged."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One record, and what became of it.

    `left` are the fields that the mapping does not look at, with what they say; `doubted` those that say who it was and are not
    believed: they stand behind `text`, which may have made them up.
    """

    number: int
    seen: Sequence[Observation]
    refused: str | None
    left: Mapping[str, str]
    text: str | None
    doubted: Sequence[str]
    assumptions: Sequence[str]  # of the times so far

    def lines(self) -> Iterator[str]:
        """Yield the words for a terminal; what came out of a log is escaped."""
        if self.refused:
            yield f"{self.number}: refused: {self.refused}"
        elif not self.seen:
            yield f"{self.number}: no access"
        for one in self.seen:
            yield f"{self.number}: " + " ".join(_shown(key, value) for key, value in _said(one).items())
        if self.doubted:
            fields = ", ".join(map(clean, self.doubted))
            yield f"    not believed: {fields}, behind the text of {clean(self.text or '')}; see followed_by in docs/formats.md"
        if self.left:
            yield "    left: " + " ".join(_shown(key, value) for key, value in self.left.items())

    def document(self) -> dict[str, Any]:
        """Return the same as an object."""
        return {
            "record": self.number,
            "observations": [_said(one) for one in self.seen],
            "refused": self.refused,
            "left": dict(self.left),
            "doubted": list(self.doubted),
        }


def tried(path: str, name: str, zone: str | None) -> Iterator[Tried]:
    """Yield what the format called *name* makes of each record of a file that is not empty."""
    number = 0
    log_format = FORMATS[name]
    stream: Stream | None = None
    for batch in Archive(path, format=name, zone=zone).batches():
        clock = StreamClock(zone_of(zone), batch.input.modified)
        stream = stream or Stream(clock)
        for _offset, line in records_in(batch.data):
            number += 1
            record = cleaned(line)
            if not record.strip():
                continue
            if log_format.read_header and record.startswith(log_format.header_starts):
                stream.header = log_format.read_header(record, stream.header)
                continue
            try:
                seen, refused = log_format.parse(record, stream), None
            except Malformed as error:
                seen, refused = (), str(error)
            rows = _rows(name, record, stream.header)
            doubts = [KNOWN[name].mapped.doubted(row) for row in rows] if seen else []
            text = next((text for text, keys in doubts if keys), None)
            doubted = sorted({key for _text, keys in doubts for key in keys})
            yield Tried(number, seen, refused, _left(name, rows), text, doubted, clock.assumptions())


def _rows(name: str, record: bytes, header: tuple[str, ...]) -> Sequence[Row]:
    """Return a record of a mapped format taken apart; nothing where it cannot be."""
    try:
        return KNOWN[name].mapped.rows(record, header) if name in KNOWN else ()
    except Malformed:
        return ()


def _left(name: str, rows: Sequence[Row]) -> dict[str, str]:
    """Return the fields that a mapping leaves, with what they say."""
    if name not in KNOWN:
        return {}
    used = KNOWN[name].mapped.used()
    found: dict[str, str] = {}
    for row in rows:
        for key, value in _flat(row.values):
            if key not in used and not any(key.startswith(f"{one}.") for one in used) and value not in ("", "-"):
                found.setdefault(key, value)
    return found


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and path.count(".") < 6:
            yield from _flat(value, f"{path}.")
        elif value is not None:
            yield path, value if isinstance(value, str) else repr(value)


def _said(seen: Observation) -> dict[str, Any]:
    """Return what an observation says, without what it does not say."""
    said: dict[str, Any] = {}
    for one in dataclasses.fields(seen):
        value = getattr(seen, one.name)
        if value is not None and value is not False and value != ():
            said[one.name] = value.isoformat() if isinstance(value, datetime) else value
    return said


def _shown(key: str, value: Any) -> str:
    parts = [clean(str(one)) for one in (value if isinstance(value, tuple) else (value,))]
    if key in NAMES:
        parts = [one if ip_address(one) else defang(one) for one in parts]
    text = cut(",".join(parts), 160)
    return f'{key}="{text}"' if " " in text else f"{key}={text}"
