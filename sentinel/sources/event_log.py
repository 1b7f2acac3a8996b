"""Windows event logs (EVTX) as batches of events: rendered as JSON for their formats, kept as the bytes that they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sentinel.formats.event_chunks import Event
from sentinel.formats.event_chunks import events as events_in
from sentinel.sources.batch import Batch, Input, Loss
from sentinel.sources.containers import ROWS, batch_of

SYSMON = '"Microsoft-Windows-Sysmon/Operational"'


def events(where: str, source: Input, damage: str | None) -> Iterator[Batch]:
    """Yield the events of the log at *where* in the order of the file."""
    losses = [Loss(0, None, f"damaged: {damage}")] if damage else []
    waiting: list[Event] = []
    with Path(where).open("rb") as file:
        for one in events_in(file):
            if not isinstance(one, Event):
                losses.append(Loss(one.place, 1, one.reason))
                continue
            if source.format is None:
                log_format = "sysmon-json" if SYSMON in one.json else "windows-event"
                source = Input(source.path, "evtx", source.modified, None, log_format, source.zone)
            waiting.append(one)
            if len(waiting) >= ROWS:
                yield _batch(source, waiting, losses, ends=False)
                waiting, losses = [], []
    yield _batch(source, waiting, losses, ends=True)


def _batch(source: Input, events: list[Event], losses: list[Loss], *, ends: bool) -> Batch:
    records = [one.json.encode("utf-8", "surrogatepass") for one in events]
    raws, places = [one.raw for one in events], [one.place for one in events]
    return batch_of(source, records, places, raws, ends=ends, losses=tuple(losses))
