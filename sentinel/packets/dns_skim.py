"""The plain DNS message, read in a fraction of the time: one question, and addresses of the name that was asked for.

Most messages ask for names of which no rule says anything. What this reads it reads as `dns.read` does, and leaves all else
to that.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from sentinel.packets.dns import AAAA, INTERNET, MOST_RECORDS, A

LONGEST = 254
_HEADER = struct.Struct(">HHHH").unpack_from
_RECORD = struct.Struct(">HHHIH").unpack_from
_THE_NAME = 0xC00C
"""A pointer to the first question's name."""


class Skimmed(NamedTuple):
    """`name`: as it stands in the message, its labels with their lengths. `resolved`: packed addresses, and TTL in seconds."""

    name: bytes
    answer: bool
    resolved: list[tuple[bytes, int]]


def skim(data: bytes) -> Skimmed | None:
    """Read a plain message; None for any other, and for one that does not come apart."""
    size = len(data)
    if size < 17:
        return None
    _number, flags, questions, answers = _HEADER(data)
    if questions != 1 or flags & 0x7800:
        return None
    at = 12
    while length := data[at]:
        at += length + 1
        if length > 63 or at >= size:
            return None
    name = data[12 : at + 1]
    at += 5
    if len(name) > LONGEST + 1 or at > size:
        return None
    if not flags & 0x8000:
        return Skimmed(name, False, [])
    if answers > MOST_RECORDS:
        return None
    resolved = []
    for _ in range(answers):
        if at + 12 > size:
            return None
        owner, kind, group, ttl, length = _RECORD(data, at)
        begin = at + 12
        at = begin + length
        if owner != _THE_NAME or group != INTERNET or (kind, length) not in ((A, 4), (AAAA, 16)) or at > size:
            return None
        resolved.append((data[begin:at], ttl))
    return Skimmed(name, True, resolved)
