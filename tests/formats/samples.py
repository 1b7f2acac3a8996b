"""The sample logs, and what is expected of them: one JSON line for each record, beside the sample.

`python -m tests.formats.samples` writes the expectations anew; the difference is to be read before it is committed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sentinel.formats import FORMATS
from sentinel.formats.clock import StreamClock
from sentinel.formats.format import Malformed
from sentinel.formats.reader import Reader
from sentinel.observation import Observation
from sentinel.sources.frame_streams import FrameStream, begins_so

DATA = Path(__file__).parents[1] / "data" / "formats"
WRITTEN = datetime(2026, 11, 25, tzinfo=UTC)
ENDING = ".observations.jsonl"


def samples_of(log_format: str) -> list[Path]:
    """Return a format's sample logs."""
    folder = DATA / log_format.replace("-", "_")
    return sorted(path for path in folder.iterdir() if not path.name.endswith(ENDING)) if folder.is_dir() else []


SAMPLES = [(name, path) for name in FORMATS for path in samples_of(name)]
OTHERS = sorted((DATA / "others").iterdir())


def clock() -> StreamClock:
    """Return the clock of the recordings: made in Berlin, in November 2026."""
    return StreamClock(ZoneInfo("Europe/Berlin"), WRITTEN)


def reader(log_format: str) -> Reader:
    """Return a reader of a format with the recordings' clock."""
    return Reader(FORMATS[log_format], clock())


def records(path: Path) -> list[bytes]:
    """Return the records of a sample."""
    data = path.read_bytes()
    if begins_so(data):
        return [frame for _place, kind, frame in FrameStream(len(data)).feed(data) if kind is None]
    return data.split(b"\n")


def as_json(seen: Observation) -> dict[str, Any]:
    """Return what an observation says, without what it does not say."""
    said = {}
    for one in dataclasses.fields(seen):
        value = getattr(seen, one.name)
        if value is not None and value is not False and value != ():
            said[one.name] = value.isoformat() if isinstance(value, datetime) else value
    return said


def told(log_format: str, path: Path) -> Iterator[str]:
    """Yield a JSON line for each record of a sample: its observations, or why it is malformed."""
    reading = reader(log_format)
    for record in records(path):
        try:
            said: Any = [as_json(seen) for seen in reading.parse(record)]
        except Malformed as error:
            said = str(error)
        yield json.dumps(said, ensure_ascii=True)


if __name__ == "__main__":
    for name, sample in SAMPLES:
        sample.with_name(sample.name + ENDING).write_text("\n".join(told(name, sample)) + "\n")
