"""Recognises addresses that many people share: NAT, proxies, jump hosts and terminal servers that nobody declared."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

from sentinel.identity.binding import ALWAYS, Binding

AT_ONCE = 3
"""So many people at one time are no handover whose ends overlap a little: the address is shared."""

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

IN_TURN = ((5, HOUR),)
"""So many people in so long at one device are no desk that changes hands: a mapping of users follows a shared address."""

IN_TURN_UNLEASED = ((3, HOUR), (5, DAY))
"""The same where no lease tells what device it was: fewer suffice."""


def people_at_once(claims: Sequence[Binding], key: Callable[[str], str]) -> int:
    """Return the most people that *claims* of one address name for one time; *key* tells people apart."""
    spans = [(c.since, c.until, key(c.user)) for c in claims if c.user and c.since and c.until]
    steps = sorted([(until, 0, who) for _since, until, who in spans] + [(since, 1, who) for since, _until, who in spans])
    here: Counter[str] = Counter()
    most = 0
    for _time, comes, who in steps:
        here[who] += 1 if comes else -1
        if not here[who]:
            del here[who]
        most = max(most, len(here))
    return most


def people_in_turn(claims: Sequence[Binding], key: Callable[[str], str], within: timedelta) -> int:
    """Return the most people whose claims on one address began *within* so long; *key* tells people apart."""
    began = sorted((c.since, key(c.user)) for c in claims if c.user and c.since)
    here: Counter[str] = Counter()
    most, first = 0, 0
    for since, who in began:
        here[who] += 1
        while since - began[first][0] > within:
            gone = began[first][1]
            here[gone] -= 1
            if not here[gone]:
                del here[gone]
            first += 1
        most = max(most, len(here))
    return most


def recognised(claims: Sequence[Binding], key: Callable[[str], str]) -> str | None:
    """Return in words why *claims* show their address to be shared; None when they do not.

    People who came with a device of their own, as leases show, are no sign: an address is given to one device after the other.
    """
    for mac, group in _by_device(claims).items():
        if len(group) < AT_ONCE:
            continue
        for many, within in IN_TURN if mac else IN_TURN_UNLEASED:
            turn = people_in_turn(group, key, within)
            if turn >= many:
                span = "an hour" if within == HOUR else "a day"
                return f"shared: {turn} people came to it within {span}, as with a NAT, a proxy or a jump host"
        at_once = people_at_once(group, key)
        if at_once >= AT_ONCE:
            return f"shared: {at_once} people had it at the same time, as with a NAT, a terminal server or a jump host"
    return None


def _by_device(claims: Sequence[Binding]) -> dict[str | None, list[Binding]]:
    """Return the claims that name people by the device that had the address when they began, as far as leases say."""
    leases = sorted((c for c in claims if c.mac and c.since and not c.user), key=lambda c: c.since or ALWAYS)
    starts = [c.since or ALWAYS for c in leases]
    groups: dict[str | None, list[Binding]] = {}
    for claim in claims:
        if not claim.user:
            continue
        nth = bisect_right(starts, claim.since or ALWAYS) - 1
        groups.setdefault(claim.mac or (leases[nth].mac if nth >= 0 else None), []).append(claim)
    return groups
