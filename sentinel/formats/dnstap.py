"""dnstap: what a resolver was asked and answered, as protobuf messages with the DNS messages in them.

Counted is what clients ask: CLIENT_QUERY and CLIENT_RESPONSE, and AUTH_QUERY and AUTH_RESPONSE where the question desires
recursion, as stub resolvers' do: BIND says AUTH of a client whom it allows none. What the resolver itself asks elsewhere
(RESOLVER, FORWARDER, STUB) is nobody's access.

References: https://github.com/dnstap/dnstap.pb/blob/master/dnstap.proto, RFC 1035 for the messages
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sentinel.formats.format import Clock, LogFormat, Malformed, Stream, utc_from_epoch
from sentinel.observation import Action, Observation

if TYPE_CHECKING:
    from sentinel.packets.dns import Message

IDENTITY, MESSAGE, TYPE = 1, 14, 15
KIND, QUERY_ADDRESS, RESPONSE_ADDRESS, QUERY_PORT, RESPONSE_PORT = 1, 4, 5, 6, 7
QUERY_SECS, QUERY_NANOS, QUERY, RESPONSE_SECS, RESPONSE_NANOS, RESPONSE, POLICY = 8, 9, 10, 12, 13, 14, 15
POLICY_ACTION = 3
POLICY_PASS = 3
AUTH_QUERY, AUTH_RESPONSE, CLIENT_QUERY, CLIENT_RESPONSE = 1, 2, 5, 6
REFUSED = 5
RECURSION_DESIRED = 0x01
"""In the third byte of a DNS message."""

_LENGTHS = {1: 8, 5: 4}
Value = int | bytes


def recognise(_records: Sequence[bytes]) -> float:
    """Return 0.0: a file of frames is known by its beginning, and no line of text is one."""
    return 0.0


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one message. A query and its answer are two records of one access.

    Raises:
        Malformed: No protobuf, no dnstap, or a DNS message whose question does not come apart.
    """
    outer, message = _message(record)
    kind = message.get(KIND)
    if kind not in (AUTH_QUERY, AUTH_RESPONSE, CLIENT_QUERY, CLIENT_RESPONSE):
        return ()
    answered = kind in (AUTH_RESPONSE, CLIENT_RESPONSE)
    wire = message.get(RESPONSE if answered else QUERY)
    if not isinstance(wire, bytes):
        raise Malformed("no DNS message in it")
    if kind in (AUTH_QUERY, AUTH_RESPONSE) and not _desires_recursion(wire):
        return ()
    from sentinel.packets.dns import read  # few logs are dnstap, and every replay loads this module
    from sentinel.packets.wire import Undecodable

    try:
        said = read(wire)
    except Undecodable as error:
        raise Malformed(f"the DNS message: {error}") from error
    if said is None or not said.questions:
        return ()
    time, text = _time(message, stream.clock, answered=answered)
    question = said.questions[0]
    return (
        Observation(
            time=time,
            time_text=text,
            kind="dns_answer" if answered else "dns_query",
            client=_address(message.get(QUERY_ADDRESS)),
            client_port=_port(message.get(QUERY_PORT)),
            server=_address(message.get(RESPONSE_ADDRESS)),
            server_port=_port(message.get(RESPONSE_PORT)),
            name=question.name,
            names=tuple(said.aliases),
            query_type=question.type,
            answers=(*said.addresses, *said.aliases),
            action=_action(message, said),
            resolver=_text(outer.get(IDENTITY)),
        ),
    )


def _message(record: bytes) -> tuple[dict[int, Value], dict[int, Value]]:
    outer = _fields(record)
    inner = outer.get(MESSAGE)
    if outer.get(TYPE, 1) != 1 or not isinstance(inner, bytes):
        raise Malformed("no dnstap message")
    return outer, _fields(inner)


def _fields(data: bytes) -> dict[int, Value]:
    """Return a protobuf message's fields by number; of one that is repeated the last, as protobuf has it.

    Raises:
        Malformed: It does not come apart.
    """
    return dict(_pairs(data))


def _pairs(data: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in _LENGTHS:
            size = _LENGTHS[wire]
        else:
            raise Malformed(f"a protobuf field of the wire type {wire}")
        if at + size > len(data):
            raise Malformed("a protobuf field without its end")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise Malformed("a protobuf number without its end")


def _desires_recursion(wire: bytes) -> bool:
    return len(wire) > 2 and bool(wire[2] & RECURSION_DESIRED)


def _time(message: dict[int, Value], clock: Clock, *, answered: bool) -> tuple[datetime, str | None]:
    fields = ((RESPONSE_SECS, RESPONSE_NANOS), (QUERY_SECS, QUERY_NANOS))
    for secs, nanos in fields if answered else fields[1:]:
        second, part = message.get(secs), message.get(nanos)
        if isinstance(second, int):
            nano = struct.unpack("<I", part)[0] if isinstance(part, bytes) and len(part) == 4 else 0
            if nano >= 1_000_000_000:
                raise Malformed(f"{nano} nanoseconds")
            return utc_from_epoch(second, nano // 1000), f"{second}.{nano:09d}"
    return clock.undated(), None


def _action(message: dict[int, Value], said: Message) -> Action | None:
    policy = message.get(POLICY)
    action = _fields(policy).get(POLICY_ACTION) if isinstance(policy, bytes) else None
    if action is not None:
        return "allowed" if action == POLICY_PASS else "blocked"
    return "blocked" if said.answer and said.rcode == REFUSED else None


def _address(value: Value | None) -> str | None:
    """Return an address; None for none, and for the 0.0.0.0 of a writer that does not know it."""
    if not isinstance(value, bytes) or len(value) not in (4, 16) or not any(value):
        return None
    return str(ipaddress.ip_address(value))


def _port(value: Value | None) -> int | None:
    return value if isinstance(value, int) and 0 < value < 65536 else None


def _text(value: Value | None) -> str | None:
    return value.decode("utf-8", "replace") or None if isinstance(value, bytes) else None


FORMAT = LogFormat(
    name="dnstap",
    title="dnstap (Frame Streams)",
    reference="https://github.com/dnstap/dnstap.pb/blob/master/dnstap.proto",
    spelling="wire",
    recognise=recognise,
    parse=parse,
    binary=True,
    yields=("dns_query", "dns_answer"),
    made_as="reader",
    tested_with="BIND 9.18.49, Unbound 1.17.1, dnsdist 1.7.3",
)
