"""Turns what a DHCP server logged, line by line, into claims with a beginning and, where the log proves one, an end.

Only an acknowledgement assigns an address. Its line seldom says for how long, so the end comes from elsewhere: the length
where it is stated, the client's release, the server's expiry, or a renewal, which proves that the lease ran until then.
Without any of them the end stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sentinel.identity.binding import Binding

RENEWED_WITHIN = timedelta(days=1)
"""Two acknowledgements further apart than this are no proof that the lease ran between them: lines may be missing."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. `asks`: the client starts afresh; `ack`: it is given the address; `end`: the lease is over."""

    kind: Literal["asks", "ack", "end"]
    time: datetime  # UTC
    mac: str
    address: str | None = None
    device: str | None = None
    length: timedelta | None = None
    record: str = ""


def fold(events: Iterable[Event], source: str) -> list[Binding]:
    """Return the claims that the events of one server prove, in whatever order and however often they come."""
    once = {(e.time, e.kind, e.mac, e.address, e.device, e.length): e for e in events}
    done: list[Binding] = []
    held: dict[str, Event] = {}
    afresh: set[str] = set()  # clients that began anew since they were last given an address
    for event in sorted(once.values(), key=lambda e: e.time):
        before = held.get(event.address) if event.address else None
        if event.kind == "asks":
            afresh.add(event.mac)
        elif event.kind == "end":
            if before and event.address and before.mac == event.mac:
                done.append(_claim(before, source, _ended(before, event.time), "DHCPACK, then released or expired"))
                del held[event.address]
        elif event.address:
            if before:
                done.append(_followed(before, event, source, renewed=event.mac not in afresh))
            held[event.address] = event
            afresh.discard(event.mac)
    return done + [_claim(event, source, _stated(event), "DHCPACK") for event in held.values()]


def _followed(before: Event, event: Event, source: str, *, renewed: bool) -> Binding:
    """Return the claim of *before*, whose address was acknowledged again, to the same client or another."""
    if renewed and before.mac == event.mac and event.time - before.time <= RENEWED_WITHIN:
        return _claim(before, source, _ended(before, event.time), "DHCPACK, later renewed")
    stated = _stated(before)
    if renewed and before.mac != event.mac and stated and stated > event.time:
        # Another client holds what was never seen to be given to it: lines are missing, and when it took over is unknown.
        return _claim(before, source, None, "DHCPACK, then held by another client, since when is not recorded")
    return _claim(before, source, min(stated, event.time) if stated else None, "DHCPACK")


def _stated(event: Event) -> datetime | None:
    try:
        return event.time + event.length if event.length is not None else None
    except OverflowError:
        return None


def _ended(before: Event, time: datetime) -> datetime:
    """Return when a lease was over that the log says was over at *time*: the stated length binds the log too."""
    stated = _stated(before)
    return min(stated, time) if stated else time


def _claim(event: Event, source: str, until: datetime | None, basis: str) -> Binding:
    return Binding(event.address or "", event.mac, event.device, None, event.time, until, basis, source, event.record)
