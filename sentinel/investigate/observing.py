"""Everything that files and captures show, matched by a rule or not."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence

from sentinel.activity.records import Origin
from sentinel.extract import first_records, placed
from sentinel.formats import named
from sentinel.formats.clock import StreamClock, zone_of
from sentinel.formats.detect import detect
from sentinel.formats.format import Malformed
from sentinel.formats.reader import Reader
from sentinel.observation import Observation
from sentinel.packets.decoder import Decoder
from sentinel.packets.flow_book import FlowBook
from sentinel.packets.ports import DNS_PORTS
from sentinel.sources.archive import Archive
from sentinel.sources.batch import Input
from sentinel.sources.capture import CaptureReader, holds_capture, in_order, looks_like_capture
from sentinel.sources.places import files
from sentinel.sources.standard_input import StandardInput

Tell = Callable[[str], None]
"""Told, in a sentence, what could not be read."""


def observe_all(
    paths: Sequence[str],
    *,
    log_format: str | None,
    zone: str | None,
    tell: Tell,
    dns_ports: Collection[int] = DNS_PORTS,
) -> Iterator[tuple[Observation, Origin]]:
    """Yield every observation in *paths* with where it was found: logs in their order, captures by their first packets."""
    found = files(paths)
    given = StandardInput() if "-" in found else None
    captures = [path for path in found if (_is_given_capture(given) if path == "-" and given else _is_capture(path))]
    for path in found:
        if path not in captures:
            yield from _of_log(Archive(path, format=log_format, zone=zone, given=given), log_format, zone, tell)
    decoder = Decoder(dns_ports)
    book = FlowBook(decoder.resolved, lambda _seen: True)
    ordered = in_order(captures)
    for path in ordered:
        reader = CaptureReader(path, decoder, book=book, given=given)
        for seen in reader.seen():
            for one in seen:
                yield one.observation, Origin(path=one.path or path, frame=one.frame)
        for one in (*decoder.finish(), *book.finish()) if path == ordered[-1] else ():
            yield one.observation, Origin(path=one.path or path, frame=one.frame)
        if reader.loss:
            tell(f"{path}: {reader.loss}")


def _is_capture(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and looks_like_capture(path)
    except OSError:
        return False  # reading it as a log tells why it cannot be


def _is_given_capture(given: StandardInput) -> bool:
    try:
        return holds_capture(given)
    finally:
        given.rewind()


def _of_log(archive: Archive, log_format: str | None, zone: str | None, tell: Tell) -> Iterator[tuple[Observation, Origin]]:
    readers: dict[Input, Reader] = {}
    refused: dict[str, int] = {}
    for batch in archive.batches():
        for loss in batch.losses:
            tell(f"{batch.input.path}: offset {loss.offset}: {loss.reason}")
        reader = readers.get(batch.input)
        if reader is None:
            ranked = detect(first_records(batch.data)) if batch.cuts is None else []
            known = batch.input.format or log_format
            chosen = named(known) if known else ranked[0][0] if ranked else None
            if chosen is None and len(batch.data):
                tell(f"{batch.input.path}: format not understood")
            reader = readers[batch.input] = Reader(chosen, StreamClock(zone_of(zone), batch.input.modified))
        for place, record in placed(batch):
            try:
                observations = reader.parse(record)
            except Malformed:
                refused[batch.input.path] = refused.get(batch.input.path, 0) + 1
                continue
            for observation in observations:
                yield observation, Origin(path=batch.input.path, offset=place)
        if batch.ends:
            for sentence in reader.assumptions():
                tell(f"{batch.input.path}: {sentence}")
    for name, count in refused.items():
        tell(f"{name}: {count} records could not be parsed")
