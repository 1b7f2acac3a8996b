"""PowerDNS Recursor's log of questions and answers (`quiet=no`): structured text, JSON, and the prose of old versions.

    Nov 23 07:24:44 msg="Question" ... ts="1795415084.403" ... qname="pimeyes.com" qtype="A" remote="10.0.0.5:34197"
    {"msg": "Question", ... "qname": "pimeyes.com", "qtype": "A", "remote": "10.0.0.5:38683", "ts": "1795415084.938"}
    Nov 23 06:16:22 1 [1/1] question for 'pimeyes.com|A' from 10.0.0.5:50406

A question that the packet cache answers is logged so in new versions only: the log tells of fewer look-ups than there were.
In prose, answers do not say who asked, and tell of nobody.

Reference: https://docs.powerdns.com/recursor/running.html#logging
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sentinel.formats.envelope import peel
from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.formats.names import written_name
from sentinel.formats.pattern import Pattern
from sentinel.formats.times import MONTH_FIRST, epoch_time, read_time
from sentinel.observation import Action, Kind, Observation

_REFERENCE = "https://docs.powerdns.com/recursor/running.html#logging"
_PROGRAMS = frozenset({"pdns_recursor", "pdns-recursor"})
_FILE = Pattern(rf"(?P<time>{MONTH_FIRST}) (?=msg=\"|\d+ \[|\d+ question answered from packet cache)", re.ASCII)
_START_UP = Pattern(rf"{MONTH_FIRST} (?!\S+ [^\s:\[\]]+(?:\[\d+\])?: )", re.ASCII)
"""Other messages: a time, and then not the host and program of a syslog line."""
_PAIR = Pattern(r'(?<![\w-])([A-Za-z][\w-]{0,40})="((?>(?:[^"\\]|\\.)*))"', re.ASCII)
_ESCAPED = Pattern(r"\\(.)")
_PROSE = Pattern(
    r"(?:\d+ \[\d+/\d+\] |\d+ )(?:(?:TCP )?question for '(?P<name>.+)\|(?P<type>[A-Z][A-Z0-9-]*)' from (?P<remote>\S+)|"
    r"answer to |question answered from packet cache )",
    re.ASCII,
)
_REMOTE = Pattern(r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45}(?:%[\w.-]{1,20})?)\]|(?P<v4>[\d.]{7,15})):(?P<port>\d{1,5})\Z", re.ASCII)
_KINDS: dict[str, Kind] = {
    "Question": "dns_query",
    "Question answered from packet cache": "dns_query",
    "Answer": "dns_answer",
}
_REFUSED = "5"


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that the recursor wrote as text, 0.0 to 1.0."""
    return sum(_is_own(as_text(record)) for record in records) / max(1, len(records))


def recognise_json(records: Sequence[bytes]) -> float:
    """Return the share of *records* that the recursor wrote as JSON, 0.0 to 1.0."""
    return sum(_is_event(record) for record in records) / max(1, len(records))


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one line of text. Structured lines carry Unix seconds; the others a local time without a year.

    Raises:
        Malformed: Not a line of the recursor's, or a question that breaks off.
    """
    message, time_text, resolver = _peeled(as_text(record))
    if message.startswith('msg="'):
        fields = {key: _ESCAPED.sub(r"\1", value) if "\\" in value else value for key, value in _PAIR.findall(message)}
        return _event(fields, resolver)
    prose = _PROSE.match(message)
    if prose is None and resolver is None and not _START_UP.match(message):
        raise Malformed("no question or answer of the recursor's")
    if prose is None or prose["name"] is None:
        return ()
    client, port = _remote(prose["remote"])
    time = read_time(time_text, stream.clock) if time_text else stream.clock.undated()
    return (
        Observation(
            time=time,
            time_text=time_text,
            kind="dns_query",
            client=client,
            client_port=port,
            name=written_name(prose["name"]),
            query_type=prose["type"],
            resolver=resolver,
        ),
    )


def parse_json(record: bytes, _stream: Stream) -> Sequence[Observation]:
    """Read one object.

    Raises:
        Malformed: No JSON object of the recursor's.
    """
    fields, resolver = _object(record)
    return _event(fields, resolver)


def _is_own(text: str) -> bool:
    message, _time, resolver = _peeled(text)
    structured = message.startswith('msg="') and ' level="' in message and ' ts="' in message
    return structured or _PROSE.match(message) is not None or resolver is not None


def _peeled(text: str) -> tuple[str, str | None, str | None]:
    """Return message, time and host; the host only of what syslog says the recursor wrote."""
    head = _FILE.match(text)
    if head is not None:
        return text[head.end() :], head["time"], None
    peeled = peel(text)
    if peeled.program in _PROGRAMS:
        return peeled.message, peeled.time_text, peeled.host or ""
    return text, None, None


def _is_event(record: bytes) -> bool:
    try:
        fields, _host = _object(record)
    except Malformed:
        return False
    return {"msg", "level", "ts", "tid"} <= fields.keys() and isinstance(fields["ts"], str)


def _object(record: bytes) -> tuple[Mapping[str, Any], str | None]:
    text, resolver = as_text(record), None
    if not text.startswith("{"):
        peeled = peel(text)
        text, resolver = peeled.message, peeled.host
    if not text.startswith("{"):
        raise Malformed("no JSON object")
    try:
        return json.loads(text), resolver
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {str(error)[:80]}") from error


def _event(fields: Mapping[str, Any], resolver: str | None) -> Sequence[Observation]:
    """Return what a structured message says. `ecs` is whatever the asker put there: the client is who asked."""
    said, ts = fields.get("msg"), fields.get("ts")
    if not isinstance(said, str) or not isinstance(ts, str):
        raise Malformed("no msg and ts")
    kind = _KINDS.get(said)
    if kind is None:
        return ()
    name, remote = fields.get("qname"), fields.get("remote")
    if not isinstance(name, str) or not isinstance(remote, str):
        raise Malformed(f"{said!r} without qname or remote")
    client, port = _remote(remote)
    asked_type = fields.get("qtype")
    action: Action | None = "blocked" if kind == "dns_answer" and fields.get("rcode") == _REFUSED else None
    return (
        Observation(
            time=epoch_time(ts),
            time_text=ts,
            kind=kind,
            client=client,
            client_port=port,
            name=written_name(name),
            query_type=asked_type if isinstance(asked_type, str) else None,
            action=action,
            resolver=resolver or None,
        ),
    )


def _remote(text: str) -> tuple[str, int]:
    found = _REMOTE.match(text)
    if found is None:
        raise Malformed(f"no ADDRESS:PORT: {text[:60]!r}")
    return found["v6"] or found["v4"], int(found["port"])


FORMATS = (
    LogFormat(
        name="powerdns-recursor",
        title="PowerDNS Recursor log, text",
        reference=_REFERENCE,
        recognise=recognise,
        parse=parse,
        yields=("dns_query", "dns_answer"),
        tested_with="PowerDNS Recursor 4.8.8 and 5.4.9",
    ),
    LogFormat(
        name="powerdns-recursor-json",
        title="PowerDNS Recursor log, JSON",
        reference=_REFERENCE,
        spelling="json",
        recognise=recognise_json,
        parse=parse_json,
        signs=(b"{",),
        yields=("dns_query", "dns_answer"),
        tested_with="PowerDNS Recursor 5.4.9",
    ),
)
