"""Windows event logs (EVTX): events as JSON by the library `evtx`, and where the bytes of each lie in the file.

Reference: https://learn.microsoft.com/openspecs/windows_protocols/ms-even6/ (BinXml), and for chunks and records
https://github.com/libyal/libevtx/blob/main/documentation/Windows%20XML%20Event%20Log%20(EVTX).asciidoc
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sentinel.sources.batch import Batch, Input, Loss
from sentinel.sources.containers import ROWS, batch_of

FILE_HEADER = 4096
CHUNK_SIZE = 65536
CHUNK_HEADER = 512
CHUNK_SIGN = b"ElfChnk\0"
RECORD_SIGN = b"**\0\0"
SYSMON = b"Microsoft-Windows-Sysmon/Operational"
_RECORD = struct.Struct("<4sIQ")


def places_of(file: Any) -> dict[int, tuple[int, int]]:
    """Return offset and size of each event by its record number, as far as the file's chunks can be walked."""
    found: dict[int, tuple[int, int]] = {}
    at = FILE_HEADER
    while True:
        file.seek(at)
        chunk = file.read(CHUNK_SIZE)
        if len(chunk) < CHUNK_HEADER:
            return found
        inner = CHUNK_HEADER
        while chunk.startswith(CHUNK_SIGN) and inner + _RECORD.size <= len(chunk):
            sign, size, number = _RECORD.unpack_from(chunk, inner)
            if sign != RECORD_SIGN or size < _RECORD.size or inner + size > len(chunk):
                break
            found.setdefault(number, (at + inner, size))
            inner += size
        at += CHUNK_SIZE


def events(where: str, source: Input, damage: str | None) -> Iterator[Batch]:
    """Yield the events of the log at *where* in the order of the file."""
    import evtx

    losses: tuple[Loss, ...] = (Loss(0, None, f"damaged: {damage}"),) if damage else ()
    records: list[bytes] = []
    places: list[int] = []
    raws: list[bytes] = []
    with Path(where).open("rb") as file:
        known = places_of(file)
        given = 0
        try:
            read = iter(evtx.PyEvtxParser(where, number_of_threads=1).records_json())
        except (RuntimeError, OSError) as error:
            yield batch_of(source, [], [], None, ends=True, losses=(*losses, Loss(0, None, f"cannot be read: {error}")))
            return
        while True:
            try:
                event = next(read, None)
            except (RuntimeError, OSError) as error:  # one event that does not come apart; the next ones do
                losses += (Loss(0, 1, f"an event cannot be read: {error}"),)
                continue
            if event is not None:
                given += 1
                place, size = known.get(event["event_record_id"], (0, 0))
                file.seek(place)
                records.append(event["data"].replace("\n", " ").encode("utf-8", "surrogatepass"))
                places.append(place)
                raws.append(file.read(size) if size else records[-1])
            if event is None or len(records) >= ROWS:
                if source.format is None:
                    log_format = "sysmon-json" if any(SYSMON in one for one in records[:1]) else "windows-event"
                    source = Input(source.path, "evtx", source.modified, None, log_format, source.zone)
                if event is None and given < len(known):
                    losses += (Loss(0, None, f"{len(known) - given} events of the file's chunks were not read"),)
                yield batch_of(source, records, places, raws, ends=event is None, losses=losses)
                records, places, raws, losses = [], [], [], ()
            if event is None:
                return
