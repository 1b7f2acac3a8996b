"""Answers who had an address at a time, or says why nobody can be named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sentinel.activity.wording import printable
from sentinel.identity.binding import ALWAYS, FOREVER, Binding
from sentinel.observation import host_name, ip_address
from sentinel.policy.policy import Person

Confidence = Literal["covered", "possible"]
"""`covered`: a record states an interval that holds the time. `possible`: a record speaks for it, but states none."""

SHOWN = 5
"""So many competing claims are told in an explanation."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who may have had the address. `None`: the records do not say."""

    user: str | None
    device: str | None
    mac: str | None
    confidence: Confidence
    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """All who may have had the address; the one who did, where that is certain; and a sentence that says why."""

    candidates: tuple[Candidate, ...]
    said: Candidate | None
    explanation: str


class Directory:
    """The claims of all identity files of an investigation."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        """Take up the claims, in any order."""
        self._by_address: dict[str, list[Binding]] = {}
        for binding in bindings:
            self._by_address.setdefault(binding.address, []).append(binding)

    def who(self, address: str, time: datetime) -> Answer:
        """Return who had *address* at *time*, an aware time.

        Somebody is said only when exactly one claim, or several that agree, cover the time and none contests it. The newest
        lease is never taken for want of a better one, and no lease speaks for a time before it began.
        """
        time = time.astimezone(UTC)
        known = self._by_address.get(ip_address(address) or "", [])
        if not known:
            return _nobody(f"no identity record names the address {printable(address)}")
        covering = [claim for claim in known if _covers(claim, time)]
        claims = covering + _contesting(known, covering, time)
        if not claims:
            claims = [claim for claim in known if claim.since is None and (claim.until is None or time < claim.until)]
        if not claims:
            return _nobody(_gap(known, time))
        return _weighed(claims, covering, time)

    def person(self, user: str) -> Person:
        """Return who a user is: all the names of that person, and their unit, as far as they are known."""
        return Person.named(user)

    def throughout(self, address: str, since: datetime, until: datetime) -> Answer:
        """Return who had *address* from *since* to *until* all the time, both inclusive and aware, as `who` does for one time.

        Somebody is said only when they are said for each time between: an address may change hands and come back.
        """
        known = self._by_address.get(ip_address(address) or "", [])
        edges = {time for claim in known for time in (claim.since, claim.until) if time and since < time < until}
        answers = [self.who(address, time) for time in (since, *sorted(edges), until)]
        unsaid = next((answer for answer in answers if answer.said is None), None)
        if unsaid:
            return unsaid
        if len({_holder(answer.said) for answer in answers if answer.said}) > 1:
            candidates = tuple(dict.fromkeys(answer.said for answer in answers if answer.said))
            return Answer(candidates, None, "cannot say: the address changed hands meanwhile")
        return answers[0]


def _holder(one: Candidate) -> tuple[str | None, str | None, str | None]:
    return one.user.casefold() if one.user else None, host_name(one.device), one.mac


def _covers(claim: Binding, time: datetime) -> bool:
    return claim.since is not None and claim.until is not None and claim.since <= time < claim.until


def _contesting(known: Sequence[Binding], covering: Sequence[Binding], time: datetime) -> list[Binding]:
    """Return the claims of unknown end that may still have held; one that covers the time and began later ends them."""
    latest = max((claim.since for claim in covering if claim.since), default=ALWAYS)
    return [c for c in known if c.until is None and c.since is not None and latest <= c.since <= time]


def _weighed(claims: Sequence[Binding], covering: Sequence[Binding], time: datetime) -> Answer:
    if not _agree(claims):
        candidates = tuple(dict.fromkeys(_candidate([c], "covered" if c in covering else "possible") for c in claims))
        told = "; ".join(f"{_name(c)} ({c.why})" for c in candidates[:SHOWN])
        more = f"; and {len(candidates) - SHOWN} more" if len(candidates) > SHOWN else ""
        return Answer(candidates, None, f"cannot say: several claims on the address at {_stamp(time)}: {told}{more}")
    one = _candidate(covering or claims, "covered" if covering else "possible")
    if not covering:
        return Answer((one,), None, f"cannot say: perhaps {_name(one)}, but {_missing(claims)} ({one.why})")
    if not (one.user or one.device or one.mac):
        return Answer((one,), None, f"cannot say: the records do not know who used the address at {_stamp(time)} ({one.why})")
    return Answer((one,), one, f"{_name(one)}: {one.why}")


def _agree(claims: Sequence[Binding]) -> bool:
    """Return whether the claims can all be about one holder: each says something else, or the same."""
    if any(not (c.user or c.device or c.mac) for c in claims) and any(c.user or c.device or c.mac for c in claims):
        return False
    users = {c.user.casefold() for c in claims if c.user}
    macs = {c.mac for c in claims if c.mac}
    devices = {name for c in claims if (name := host_name(c.device))}
    longest = max(devices, key=len, default="")
    # "pc-dora" and "pc-dora.corp.example" are one machine; a server may have completed the name.
    same = all(longest == name or longest.startswith(name + ".") for name in devices)
    return len(users) <= 1 and len(macs) <= 1 and same


def _candidate(claims: Sequence[Binding], confidence: Confidence) -> Candidate:
    return Candidate(
        user=next((c.user for c in claims if c.user), None),
        device=next((c.device for c in claims if c.device), None),
        mac=next((c.mac for c in claims if c.mac), None),
        confidence=confidence,
        why="; ".join(list(dict.fromkeys(map(_why, claims)))[:SHOWN]),
    )


def _why(claim: Binding) -> str:
    return f"{claim.basis} in {printable(claim.source)}, {_side('from', claim.since)}, {_side('until', claim.until)}"


def _side(word: str, time: datetime | None) -> str:
    if time is None:
        return f"{word} an unknown time"
    if time in (ALWAYS, FOREVER):
        return "without a beginning" if time == ALWAYS else "without an end"
    return f"{word} {_stamp(time)}"


def _missing(claims: Sequence[Binding]) -> str:
    if all(claim.since is None for claim in claims):
        return "the record does not say when the lease began"
    return "no record says how long the lease lasted"


def _gap(known: Sequence[Binding], time: datetime) -> str:
    """Say what is known around a *time* that nothing covers."""
    ended = max((c.until for c in known if c.until is not None and c.until <= time), default=None)
    begins = min((c.since for c in known if c.since is not None and c.since > time), default=None)
    parts = [f"the last lease known before {_stamp(time)} expired at {_stamp(ended)}"] if ended else []
    parts += (
        [f"the next one began only at {_stamp(begins)}" if parts else f"the first lease known began only at {_stamp(begins)}"]
        if begins
        else []
    )
    return ", and ".join(parts) or "no record states an interval"


def _nobody(why: str) -> Answer:
    return Answer((), None, f"cannot say: {why}")


def _name(one: Candidate) -> str:
    named = [printable(part) for part in (one.user, one.device, one.mac) if part]
    return f"{named[0]} ({', '.join(named[1:])})" if len(named) > 1 else (named or ["somebody unknown"])[0]


def _stamp(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
