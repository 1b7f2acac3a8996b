"""The chain that makes a changed, removed or inserted finding show.

A finding's hash is the SHA-256, in hex, of its row's canonical encoding, and the row holds the hash before it. The encoding
joins `length ":" bytes ","` for each of `seq id service time origin sha256 body raw previous`, in that order; numbers are
decimal, text is UTF-8.
The first row's `previous` is 64 zeros.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

START = "0" * 64
CHAINED = ("seq", "id", "service", "time", "origin", "sha256", "body", "raw", "previous")


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's end: how many findings there are, and the last one's hash."""

    seq: int = 0
    hash: str = START


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row that is not what was committed. `id` is None for a row that is gone."""

    seq: int
    id: str | None
    reason: str


def chain_hash(row: Mapping[str, Any]) -> str:
    """Return the hash of a row of findings, hex."""
    digest = hashlib.sha256()
    for name in CHAINED:
        data = _as_bytes(row[name])
        digest.update(b"%d:%b," % (len(data), data))
    return digest.hexdigest()


def first_broken(rows: Iterable[Mapping[str, Any]], head: Head) -> Broken | None:
    """Return the first of *rows*, in the order of `seq`, that breaks the chain to *head*; None when it is whole."""
    at = Head()
    for row in rows:
        reason = _fault(row, at)
        if row["seq"] > at.seq + 1:
            return Broken(at.seq + 1, None, f"row {at.seq + 1} is gone")
        if reason:
            return Broken(row["seq"], row["id"], reason)
        if row["seq"] > head.seq:
            return Broken(row["seq"], row["id"], "no commit wrote it")
        at = Head(row["seq"], row["hash"])
    if at.seq < head.seq:
        return Broken(at.seq + 1, None, f"row {at.seq + 1} is gone: {head.seq} were committed")
    if at != head:
        return Broken(at.seq, row["id"], "its hash is not the one that the last commit left")
    return None


def _as_bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode("utf-8", "surrogateescape")


def _fault(row: Mapping[str, Any], before: Head) -> str | None:
    if row["seq"] <= before.seq:
        return "a number below the first"
    if row["previous"] != before.hash:
        return "it does not follow from the row before"
    if hashlib.sha256(_as_bytes(row["raw"])).hexdigest() != row["sha256"]:
        return "the raw record is not the one that was hashed"
    if chain_hash(row) != row["hash"]:
        return "its columns are not those that were committed"
    return None
