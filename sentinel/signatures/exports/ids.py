"""Ids that an entry keeps from export to export, whatever is added before or behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from uuid import UUID, uuid5

NAMESPACE = UUID("6d8a6f0e-5f0c-5a55-9d0e-6c1f0f6a3c51")
"""All UUIDs of exports are made in it (RFC 9562, 5.5). Another one would make every reader import all a second time."""

FIRST_SID = 3_000_000_000
SIDS = 1_000_000_000
"""Suricata's ids are 32 bits wide. In this range, far from those given away (https://sidallocation.org), a thousand ids drawn
by hash meet one another once in two thousand catalogs; in the million of the customary local range they always would."""


def stable_uuid(*parts: str) -> UUID:
    """Return the UUID, version 5, that *parts* always give."""
    return uuid5(NAMESPACE, "\n".join(parts))


def random_looking_uuid(*parts: str) -> UUID:
    """Return a UUID that *parts* always give, in the form of version 4, which Sigma asks for."""
    return UUID(bytes=hashlib.sha256("\n".join(parts).encode()).digest()[:16], version=4)


def sids(keys: Iterable[str]) -> dict[str, int]:
    """Return a Suricata rule id for each of *keys*, no two alike.

    An id is drawn by hash. Of two keys that draw the same, the one later in the alphabet draws again.
    """
    taken: dict[int, str] = {}
    for key in sorted(set(keys)):
        draw = 0
        while (sid := FIRST_SID + _number(f"{key}\n{draw}") % SIDS) in taken:
            draw += 1
        taken[sid] = key
    return {key: sid for sid, key in taken.items()}


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
