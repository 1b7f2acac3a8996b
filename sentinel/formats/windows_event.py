"""Windows events as JSON, as EVTX files are rendered, of channels that tell of no access: they are read, and say nothing.

    {"Event":{"#attributes":{…},"System":{"Provider":{…},"EventID":4624,…,"Channel":"Security",…},"EventData":{…}}}

Events of Sysmon and of DNS servers in the same shape have formats of their own; log-ons are read by `--identity`.

Reference: https://learn.microsoft.com/windows/win32/wes/eventschema-systempropertiestype-complextype
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.observation import Observation

KNOWN = frozenset({"Security", "System", "Application"})
"""Channels that are surely of no use here; records of any other may be a format's own."""

ACCESSES = ("Microsoft-Windows-Sysmon/", "Microsoft-Windows-DNS")
"""How the channels begin that tell of accesses."""


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that are events of the channels that every Windows has, 0.0 to 1.0."""
    return sum(_channel(record) in KNOWN for record in records) / max(1, len(records))


def _channel(record: bytes) -> str | None:
    if not record.lstrip().startswith(b"{") or b'"System"' not in record:
        return None
    try:
        system = json.loads(as_text(record))["Event"]["System"]
        return str(system["Channel"]) if "EventID" in system else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:  # noqa: ARG001 - it says nothing, not even a time
    """Return nothing, for an event.

    Raises:
        Malformed: It is none, or of a channel that tells of accesses, which other formats read.
    """
    channel = _channel(record)
    if channel is None or channel.startswith(ACCESSES):
        raise Malformed("no Windows event of a channel that tells of no access")
    return ()


FORMAT = LogFormat(
    name="windows-event",
    title="Windows event logs (EVTX) of channels that tell of no access",
    reference="https://learn.microsoft.com/windows/win32/wes/eventschema-systempropertiestype-complextype",
    spelling="json",
    recognise=recognise,
    signs=(b'"System"',),
    parse=parse,
    tested_with="samples only",
)
