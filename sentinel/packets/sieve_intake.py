"""A capture's packets on their way to the decoder: all are counted, few are looked at."""

from __future__ import annotations

from sentinel.packets.decoder import Decoder
from sentinel.packets.records import Records
from sentinel.packets.seen import Seen
from sentinel.packets.sieve import Sieve


class Intake:
    """Takes the records of one capture.

    `packets`: how many were counted so far. `earliest` and `latest`: the times of the first and last of them, in ns since 1970.
    """

    def __init__(self, decoder: Decoder, *, seed: int = 0) -> None:
        """Start with no packet counted; *seed* as for the `Sieve`."""
        self.packets = 0
        self.earliest: int | None = None
        self.latest: int | None = None
        self._decoder = decoder
        self._sieve = Sieve(decoder, seed=seed)

    def take(self, records: Records) -> list[Seen]:
        """Count *records*, and return what those of them show that can matter."""
        earliest, latest = int(records.times.min()), int(records.times.max())
        self.earliest = earliest if self.earliest is None else min(self.earliest, earliest)
        self.latest = latest if self.latest is None else max(self.latest, latest)
        counters, decode, frame = self._decoder.counters, self._decoder.packet, self.packets + 1
        cut = counters["truncated"] + int((records.sizes < records.lengths).sum())
        found: list[Seen] = []
        for index, packet in self._sieve.choose(records):
            found += decode(*packet, frame + index)
        counters["truncated"] = cut  # by the snap length: those that were not looked at are among them
        self.packets += len(records)
        return found
