"""Answers who had an address at a time, or says why nobody can be named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from sentinel.activity.wording import printable
from sentinel.identity.binding import ALWAYS, FOREVER, Binding
from sentinel.identity.people import People
from sentinel.identity.shared import recognised
from sentinel.observation import host_name, ip_address
from sentinel.policy.policy import Person

Confidence = Literal["covered", "possible", "expired"]
"""`covered`: a record states an interval that holds the time. `possible`: a record speaks for it, but states none. `expired`:
the last record before the time, whose interval is over; a device that stays on without a lease would still be there."""

SHOWN = 5
"""So many competing claims are told in an explanation."""

SKEW = timedelta(minutes=2)
"""How far the clocks of identity sources and logs may disagree, unless more is known: so close to a change of hands, nobody is
named."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who may have had the address. `None`: the records do not say."""

    user: str | None
    device: str | None
    mac: str | None
    confidence: Confidence
    why: str
    person: str | None = None  # the user's, as a directory export says
    unit: str | None = None
    mailbox: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """All who may have had the address; the one who did, where that is certain; and a sentence that says why."""

    candidates: tuple[Candidate, ...]
    said: Candidate | None
    explanation: str


class Directory:
    """The claims of all identity files of an investigation."""

    def __init__(
        self,
        bindings: Iterable[Binding],
        *,
        people: People | None = None,
        declared: Callable[[str], str | None] = lambda _address: None,
        skew: timedelta = SKEW,
    ) -> None:
        """Take up the claims, in any order; a claim that came twice counts once.

        Args:
            bindings: What records say; one without an address is about a device, wherever that was.
            people: Which users are one person.
            declared: What an address is declared to be that many people share, in words ("the proxy px1"); None for others.
            skew: How far the clocks of the sources, and of the logs that are asked about, may disagree.
        """
        self._by_address: dict[str, list[Binding]] = {}
        self._by_mac: dict[str, list[Binding]] = {}
        self._by_device: dict[str, list[Binding]] = {}
        self._people = people or People()
        self._declared = declared
        self._skew = skew
        self._recognised: dict[str, str | None] = {}
        for binding in dict.fromkeys(bindings):
            if binding.address:
                self._by_address.setdefault(binding.address, []).append(binding)
            elif binding.mac:
                self._by_mac.setdefault(binding.mac, []).append(binding)
            elif name := host_name(binding.device):
                self._by_device.setdefault(name, []).append(binding)

    def person(self, user: str) -> Person:
        """Return who a user is: all the names of that person, and their unit, as far as they are known."""
        return self._people.person(user)

    def who(self, address: str, time: datetime) -> Answer:
        """Return who had *address* at *time*, an aware time.

        Somebody is said only when exactly one claim, or several that agree, cover the time and none contests it, nor one that
        holds so near the time that the clocks might disagree. The newest lease is never taken for want of a better one, and no
        lease speaks for a time before it began. An address that many people share is nobody's.
        """
        time = time.astimezone(UTC)
        canonical = ip_address(address) or ""
        known = self._by_address.get(canonical, [])
        shared = self._shared(canonical, known)
        if shared:
            there = tuple(self._candidate([c], "possible") for c in known if c.user and _speaks(c, time))
            return Answer(tuple(dict.fromkeys(there)), None, f"cannot say: {printable(address)} is {shared}")
        if not known:
            return _nobody(f"no identity record names the address {printable(address)}")
        answer = self._at(known, time)
        if answer.said is None:
            return answer
        return self._near(known, time, answer) or answer

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
        said = [answer.said for answer in answers if answer.said]
        if any(self._differ(said[0], one) for one in said):
            return Answer(tuple(dict.fromkeys(said)), None, "cannot say: the address changed hands meanwhile")
        least = min(answers, key=lambda answer: _parts(answer.said))
        return answers[0] if _parts(answers[0].said) == _parts(least.said) else least

    def _shared(self, address: str, known: Sequence[Binding]) -> str | None:
        declared = self._declared(address)
        if declared:
            return f"declared as {declared}: many people share it"
        if address not in self._recognised:
            self._recognised[address] = recognised(known, self._people.key)
        return self._recognised[address]

    def _at(self, known: Sequence[Binding], time: datetime) -> Answer:
        """Return who had an address by the claims on it, the clocks taken for right."""
        covering = [claim for claim in known if _covers(claim, time)]
        covering = [claim for claim in covering if not _elsewhere(claim, covering, known, self._skew)]
        covering += [claim for claim in self._of_device(covering) if _covers(claim, time)]
        claims = covering + _contesting([*known, *self._of_device(covering)], covering, time)
        if not claims:
            claims = [claim for claim in known if claim.since is None and (claim.until is None or time < claim.until)]
        if not claims:
            return self._gap(known, time)
        return self._weighed(claims, covering, time)

    def _of_device(self, claims: Sequence[Binding]) -> list[Binding]:
        """Return what is known of the one device that *claims* of an address agree on, wherever it was."""
        macs = {claim.mac for claim in claims if claim.mac}
        names = {name for claim in claims if (name := host_name(claim.device))}
        by_mac = self._by_mac.get(next(iter(macs)), []) if len(macs) == 1 else []
        by_name = self._by_device.get(next(iter(names)), []) if len(names) == 1 else []
        return [*by_mac, *by_name]

    def _near(self, known: Sequence[Binding], time: datetime, answer: Answer) -> Answer | None:
        """Return why *answer* cannot be said after all: within the clocks' disagreement somebody else had the address."""
        low, high = _shifted(time, -self._skew), _shifted(time, self._skew)
        edges = [edge for claim in known for edge in (claim.since, claim.until) if edge and low < edge < high]
        for moment in (low, *edges, high):
            others = [one for one in self._at(known, moment).candidates if one.confidence != "expired"]
            other = next((one for one in others if answer.said and self._differ(answer.said, one)), None)
            if other is not None:
                one, minutes = answer.candidates[0], self._skew.total_seconds() / 60
                near = f"the address changed hands within {minutes:g} minutes of {_stamp(time)}, and clocks may differ so much"
                return Answer(
                    tuple(dict.fromkeys((*answer.candidates, other))),
                    None,
                    f"cannot say: {near}: {_name(one)} ({one.why}) or {_name(other)} ({other.why})",
                )
        return None

    def _differ(self, one: Candidate, other: Candidate) -> bool:
        """Return whether two candidates cannot be the same person with the same device."""
        users = one.user and other.user and self._people.key(one.user) != self._people.key(other.user)
        macs = one.mac and other.mac and one.mac != other.mac
        a, b = host_name(one.device), host_name(other.device)
        devices = a and b and not (one.mac and one.mac == other.mac) and not _same_device({a, b})
        unknown = not (other.user or other.device or other.mac)
        return bool(users or macs or devices or unknown)

    def _weighed(self, claims: Sequence[Binding], covering: Sequence[Binding], time: datetime) -> Answer:
        if not _one_device(claims):
            return self._several(claims, covering, time)
        users = {self._people.key(claim.user) for claim in claims if claim.user}
        certain = {self._people.key(claim.user) for claim in covering if claim.user}
        devices = [claim for claim in covering if claim.mac or claim.device]
        if len(users) > 1 or users != certain:
            return self._device_alone(claims, covering, devices, time)
        one = self._candidate(covering or claims, "covered" if covering else "possible")
        if not covering:
            return Answer((one,), None, f"cannot say: perhaps {_name(one)}, but {_missing(claims)} ({one.why})")
        if not (one.user or one.device or one.mac):
            why = f"the records do not know who used the address at {_stamp(time)} ({one.why})"
            return Answer((one,), None, f"cannot say: {why}")
        return Answer((one,), one, f"{_name(one)}: {one.why}")

    def _device_alone(
        self, claims: Sequence[Binding], covering: Sequence[Binding], devices: Sequence[Binding], time: datetime
    ) -> Answer:
        """Answer where people compete, or where none is certain: with the device, if that is, else with nobody."""
        users = [claim for claim in claims if claim.user]
        if not devices:
            if len({self._people.key(claim.user or "") for claim in users}) > 1:
                return self._several(claims, covering, time)
            one = self._candidate(users, "possible")
            return Answer((one,), None, f"cannot say: perhaps {_name(one)}, but {_missing(users)} ({one.why})")
        device = self._candidate([_without_user(claim) for claim in devices], "covered")
        people = self._each(users, covering)
        told = "; ".join(f"{_name(one)} ({one.why})" for one in people[:SHOWN])
        doubt = "several people may have used it" if len({c.user for c in people}) > 1 else "perhaps used by"
        return Answer((device, *people), device, f"{_name(device)}: {device.why}; who used it cannot be said: {doubt}: {told}")

    def _several(self, claims: Sequence[Binding], covering: Sequence[Binding], time: datetime) -> Answer:
        candidates = self._each(claims, covering)
        told = "; ".join(f"{_name(c)} ({c.why})" for c in candidates[:SHOWN])
        more = f"; and {len(candidates) - SHOWN} more" if len(candidates) > SHOWN else ""
        return Answer(candidates, None, f"cannot say: several claims on the address at {_stamp(time)}: {told}{more}")

    def _each(self, claims: Sequence[Binding], covering: Sequence[Binding]) -> tuple[Candidate, ...]:
        return tuple(dict.fromkeys(self._candidate([c], "covered" if c in covering else "possible") for c in claims))

    def _gap(self, known: Sequence[Binding], time: datetime) -> Answer:
        """Say what is known around a *time* that nothing covers, and who may have stayed on."""
        ended = max((c.until for c in known if c.until is not None and c.until <= time), default=None)
        begins = min((c.since for c in known if c.since is not None and c.since > time), default=None)
        parts = [f"the last lease known before {_stamp(time)} expired at {_stamp(ended)}"] if ended else []
        if begins:
            first = "the next one began only at" if parts else "the first lease known began only at"
            parts.append(f"{first} {_stamp(begins)}")
        last = [c for c in known if ended is not None and c.until == ended and (c.user or c.device or c.mac)]
        stayed = tuple(dict.fromkeys(self._candidate([c], "expired") for c in last))
        if stayed:
            parts.append(f"{' or '.join(_name(one) for one in stayed[:SHOWN])} may have stayed on")
        return Answer(stayed, None, "cannot say: " + (", and ".join(parts) or "no record states an interval"))

    def _candidate(self, claims: Sequence[Binding], confidence: Confidence) -> Candidate:
        user = next((c.user for c in claims if c.user), None)
        entry = self._people.find(user) if user else None
        return Candidate(
            user=entry.accounts[0] if entry else user,
            device=next((c.device for c in claims if c.device), None),
            mac=next((c.mac for c in claims if c.mac), None),
            confidence=confidence,
            why="; ".join(list(dict.fromkeys(map(_why, claims)))[:SHOWN]),
            person=entry.person if entry else None,
            unit=entry.unit if entry else None,
            mailbox=entry.mailbox if entry else None,
        )


def _elsewhere(claim: Binding, covering: Sequence[Binding], known: Sequence[Binding], skew: timedelta) -> bool:
    """Return whether a person's stay cannot be believed, since the address has gone to another device meanwhile.

    Two log-ons from one address prove no stay between them when the lease was another device's: the person left and came back.
    """
    if not claim.user or claim.mac or claim.since is None or claim.since == ALWAYS:
        return False
    now = {other.mac for other in covering if other.mac}
    if not now:
        return False
    early, late = _shifted(claim.since, -skew), _shifted(claim.since, skew)
    then = {
        other.mac
        for other in known
        if other.mac and other.since and other.since <= late and (other.until is None or other.until > early)
    }
    return bool(then) and now.isdisjoint(then)


def _shifted(time: datetime, by: timedelta) -> datetime:
    try:
        return time + by
    except OverflowError:
        return time


def _parts(one: Candidate | None) -> int:
    return sum(part is not None for part in (one.user, one.device, one.mac)) if one else 0


def _covers(claim: Binding, time: datetime) -> bool:
    return claim.since is not None and claim.until is not None and claim.since <= time < claim.until


def _speaks(claim: Binding, time: datetime) -> bool:
    """Return whether a claim speaks for *time*, be it only that nothing in it speaks against."""
    return (claim.since is None or claim.since <= time) and (claim.until is None or time < claim.until)


def _contesting(known: Sequence[Binding], covering: Sequence[Binding], time: datetime) -> list[Binding]:
    """Return the claims of unknown end that may still have held.

    One that covers the time and began later ends them, as far as both say the same of the holder: a later lease of the device
    does not end a log-on, a later log-on does.
    """
    open_ = [c for c in known if c.until is None and c.since is not None and c.since <= time]
    return [c for c in open_ if not any(_ends(later, c) for later in covering)]


def _ends(later: Binding, earlier: Binding) -> bool:
    if later.since is None or earlier.since is None or later.since <= earlier.since:
        return False
    if earlier.user:
        return later.user is not None
    return bool(later.mac or later.device) or not later.user


def _one_device(claims: Sequence[Binding]) -> bool:
    """Return whether the claims can all be about one device: each says something else of it, or the same."""
    if any(not (c.user or c.device or c.mac) for c in claims) and any(c.user or c.device or c.mac for c in claims):
        return False
    macs = {c.mac for c in claims if c.mac}
    return len(macs) <= 1 and _same_device({name for c in claims if (name := host_name(c.device))})


def _same_device(names: set[str]) -> bool:
    longest = max(names, key=len, default="")
    # "pc-dora" and "pc-dora.corp.example" are one machine; a server may have completed the name.
    return all(longest == name or longest.startswith(name + ".") for name in names)


def _without_user(claim: Binding) -> Binding:
    return replace(claim, user=None)


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


def _nobody(why: str) -> Answer:
    return Answer((), None, f"cannot say: {why}")


def _name(one: Candidate) -> str:
    named = [printable(part) for part in (one.user, one.person, one.device, one.mac) if part]
    return f"{named[0]} ({', '.join(named[1:])})" if len(named) > 1 else (named or ["somebody unknown"])[0]


def _stamp(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
