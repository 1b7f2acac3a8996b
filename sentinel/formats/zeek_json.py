"""Zeek's logs as JSON lines: its own (`LogAscii::use_json`), Corelight's, and those wrapped in the name of the log.

    {"_path":"dns","ts":1575413123.292845,"uid":"CzaqP91","id.orig_h":"10.18.20.97","query":"pimeyes.com","qtype_name":"A"}
    {"dns":{"ts":1402308259.609,"uid":"CYbbOHvj","id.orig_h":"192.0.2.7","query":"pimeyes.com"}}

One file may hold several logs. Unset fields are left out.

Reference: https://docs.zeek.org/en/master/log-formats.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from sentinel.formats.envelope import peel
from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.formats.pattern import Pattern
from sentinel.formats.zeek import YIELDS, Row, log_of, observed, text
from sentinel.observation import Observation

_NAMES = {f"id_{side}_{part}": f"id.{side}_{part}" for side in ("orig", "resp") for part in "hp"}
_UIDS = frozenset({"uid", "uids", "fuid"})
_LOG = Pattern(r"[a-z][a-z0-9_-]{1,40}\Z", re.ASCII)


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that are JSON objects with Zeek's fields, 0.0 to 1.0."""
    return sum(_is_row(record) for record in records) / max(1, len(records))


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one object.

    Raises:
        Malformed: No JSON object with Zeek's fields, or no time.
    """
    log, row = _row(record)
    return observed(log, row, stream.clock)


def _is_row(record: bytes) -> bool:
    try:
        log, row = _row(record)
    except Malformed:
        return False
    named = bool(log) or log_of(row) is not None
    return named and "ts" in row and (not _UIDS.isdisjoint(row) or "id.orig_h" in row)


def _row(record: bytes) -> tuple[str, Row]:
    """Return the name of the log, "" when the record does not say it, and the row."""
    written = as_text(record)
    if not written.startswith("{"):
        written = peel(written).message
    if not written.startswith("{"):
        raise Malformed("no JSON object")
    try:
        # Numbers stay as they are written: a time has more digits than a float keeps.
        found = json.loads(written, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {str(error)[:80]}") from error
    log = ""
    if len(found) == 1:
        log, inner = next(iter(found.items()))
        if not _LOG.match(log) or not isinstance(inner, dict):
            raise Malformed("a JSON object without Zeek's fields")
        found = inner
    row: dict[str, Any] = {_NAMES.get(name, name): value for name, value in found.items()}
    return text(row, "_path") or text(row, "@stream") or log, row


FORMAT = LogFormat(
    name="zeek-json",
    title="Zeek dns, ssl, quic, http, conn, dhcp and smtp logs, JSON",
    reference="https://docs.zeek.org/en/master/log-formats.html",
    spelling="json",
    recognise=recognise,
    signs=(b"{",),
    parse=parse,
    yields=YIELDS,
)
