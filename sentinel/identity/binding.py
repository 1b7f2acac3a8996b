"""What one record says of an address: which device or person it belonged to, and from when until when."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

ALWAYS = datetime.min.replace(tzinfo=UTC)
FOREVER = datetime.max.replace(tzinfo=UTC)
"""An interval that its record states to have no beginning or no end. Not the same as `None`: the record does not say."""

RECORD_KEPT = 300
"""So many characters of a record are kept to show where a claim comes from."""

_TYPE = re.compile(r"[0-9a-f]{2}-(?=[0-9a-f]{2}:)")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5,19}\Z")


class NotIdentity(Exception):
    """The data hold no identity records of a known kind, or hold some that cannot be placed in time."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One claim on an address, with times in UTC: from `since` (inclusive) until `until` (exclusive).

    `None` for a time means that the record does not say it. All of `mac`, `device` and `user` being `None` is a claim too:
    somebody whom the server does not know used the address.
    """

    address: str  # canonical, as `observation.ip_address` gives it
    mac: str | None
    device: str | None  # as the device called itself: it may lie
    user: str | None
    since: datetime | None
    until: datetime | None
    basis: str  # how the record shows it, for people: "DHCPACK, renewed"
    source: str  # the name of the file
    record: str  # the record's text, its first `RECORD_KEPT` characters
    claimed_user: str | None = None  # a name that was said and not checked: never `user`


def hardware(text: str | None) -> str | None:
    """Return a hardware address in lower case with colons (`02:aa:bb:00:00:01`), None when it is none.

    Windows and Cisco write other separators or none; dnsmasq puts the type before it where that is not Ethernet's (`06-02:…`).
    """
    plain = _TYPE.sub("", (text or "").strip().lower())
    bare = re.sub(r"[:.-]", "", plain)
    mac = ":".join(bare[at : at + 2] for at in range(0, len(bare), 2))
    return mac if _MAC.match(mac) else None


def superseded(claims: list[Binding]) -> list[Binding]:
    """Return one server's journal as history: its later word on an address ends, or replaces, the earlier one from then on.

    *claims* are in the order of the journal. An early release is such a later word.
    """
    kept: list[Binding] = []
    last: dict[str, int] = {}  # the place in `kept` of an address's latest claim
    for claim in claims:
        at = last.get(claim.address)
        before = kept[at] if at is not None else None
        if at is not None and before and before.since and claim.since and before.since <= claim.since:
            if before.since == claim.since:
                kept[at] = claim
                continue
            if before.until is not None:
                kept[at] = replace(before, until=min(before.until, claim.since))
        last[claim.address] = len(kept)
        kept.append(claim)
    return kept
