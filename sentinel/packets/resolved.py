"""The address-to-name memory: which names a client was given an address for, and for how long.

A later connection of that client to the address can then be told a name, as long as the address served it no other.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable

SECOND = 1_000_000_000
SHORTEST, LONGEST = 60 * SECOND, 86_400 * SECOND
"""Browsers and systems keep an answer for a minute even where it says less; none is believed for more than a day."""
LINGER = 3600 * SECOND
"""How long a name that is no longer current still counts as another name of the address: connections outlive answers."""
MOST_ADDRESSES = 65_536
MOST_NAMES = 16
"""Of one address of one client. More than one already means that the address tells no name."""
MOST_ANSWERS = 98_304
LONGEST_NAME = 255


class Resolved:
    """What DNS answers told each client, within bounds: the addresses that were answered longest ago go first."""

    def __init__(self, counters: Counter[str]) -> None:
        """Start with none; what is given up before its time is counted in *counters* as `answers_evicted`."""
        self._names: OrderedDict[bytes, dict[str, int]] = OrderedDict()
        self._answers = 0
        self._counters = counters

    def __len__(self) -> int:
        """Return how many names are remembered, one for each address of each client."""
        return self._answers

    def learn(self, client: bytes, name: str, addresses: Iterable[tuple[bytes, int]], time: int) -> None:
        """Remember an answer. Addresses are packed (4 or 16 bytes) with their TTL in seconds, *time* the capture's in ns."""
        if len(name) > LONGEST_NAME:
            return
        for address, ttl in addresses:
            key = client + address
            known = self._names.get(key)
            if known is None:
                known = self._names[key] = {}
            else:
                self._names.move_to_end(key)
                self._forget_old(known, time)
            self._answers += name not in known
            known[name] = max(known.get(name, 0), time + min(max(ttl * SECOND, SHORTEST), LONGEST))
            if len(known) > MOST_NAMES:
                del known[next(iter(known))]
                self._answers -= 1
        while len(self._names) > MOST_ADDRESSES or self._answers > MOST_ANSWERS:
            _, oldest = self._names.popitem(last=False)
            self._answers -= len(oldest)
            self._counters["answers_evicted"] += 1

    def names_for(self, client: bytes, address: bytes, time: int) -> frozenset[str]:
        """Return the names (lower case, no final dot) that *address* had for *client* at *time*; empty when none is current.

        More than one means that the address cannot be told a name. A name whose TTL ran out within the last hour is among them,
        so that an address which served another name before is recognised, but does not alone make it known.
        """
        known = self._names.get(client + address)
        if not known or max(known.values()) < time:
            return frozenset()
        return frozenset(name for name, until in known.items() if until + LINGER >= time)

    def _forget_old(self, known: dict[str, int], time: int) -> None:
        for name in [name for name, until in known.items() if until + LINGER < time]:
            del known[name]
            self._answers -= 1
