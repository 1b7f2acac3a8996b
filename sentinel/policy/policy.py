"""What is allowed, to whom and when; what is never recorded; and the verdict that follows."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from sentinel.observation import host_name, ip_address
from sentinel.terms import Verdict

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REMEMBERED = 4096
"""Addresses whose networks are remembered."""


@dataclass(frozen=True, slots=True)
class NamedNetwork:
    """One or more address ranges (CIDR) under the name that people know them by; whose they are, and what kind of place."""

    name: str
    cidr: Sequence[str]
    unit: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class During:
    """From `since` (inclusive) until `until` (exclusive), in UTC; None: without a beginning, without an end."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, started: datetime, ended: datetime) -> bool:
        """Return whether all of a use lies within."""
        return not self.early(started) and not self.late(ended)

    def early(self, time: datetime) -> bool:
        """Return whether *time* lies before the beginning."""
        return self.since is not None and time < self.since

    def late(self, time: datetime) -> bool:
        """Return whether *time* lies after the end."""
        return self.until is not None and time >= self.until


@dataclass(frozen=True, slots=True)
class Sanctioned:
    """A service whose use is allowed: from the networks or units named, or from everywhere. `hosts`: if no rule has them."""

    service: str
    name: str | None = None
    hosts: Sequence[str] = ()
    networks: Sequence[str] = ()
    units: Sequence[str] = ()
    during: During = During()


@dataclass(frozen=True, slots=True)
class Excepted:
    """The use of a service that somebody allowed for a time. Of people, units and networks all that are named must hold."""

    service: str
    people: Sequence[str]
    units: Sequence[str]
    networks: Sequence[str]
    during: During
    case: str
    legal_basis: str
    approved_by: str

    @property
    def key(self) -> str:
        """What tells this exception from every other one of a policy."""
        return f"{self.case} for {self.service}" + (f" from {_day(self.during.since)}" if self.during.since else "")


@dataclass(frozen=True, slots=True)
class Excluded:
    """Addresses (CIDR) of which nothing is ever recorded, such as counsel's."""

    name: str
    cidr: Sequence[str]


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """Addresses (CIDR) behind which many people are: a NAT, a proxy. No traffic of theirs is any one person's."""

    name: str
    kind: str
    cidr: Sequence[str]


@dataclass(frozen=True, slots=True)
class Person:
    """One user of a service: every name they are known by as a user, and their unit as far as a directory says it."""

    names: frozenset[str]
    unit: str | None = None

    @classmethod
    def named(cls, user: str) -> Person:
        """Return the person of whom nothing is known but the name of a user."""
        return cls(frozenset((user.casefold(),)))


@dataclass(frozen=True, slots=True)
class Use:
    """What is judged: who used which service, from where and when (event times in UTC, both inclusive)."""

    service: str
    category: str
    client: str | None
    people: Sequence[Person]
    started: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, why, and the key of the exception that it rests on."""

    verdict: Verdict
    reason: str
    exception: str | None = None


@dataclass(frozen=True)
class Policy:
    """What is allowed, and to whom. Without anything in it, nothing is but what the rules call sanctioned."""

    networks: Sequence[NamedNetwork] = ()
    sanctioned: Sequence[Sanctioned] = ()
    exceptions: Sequence[Excepted] = ()
    exclusions: Sequence[Excluded] = ()
    infrastructure: Sequence[Infrastructure] = ()
    domains: Sequence[str] = ()  # where DOMAIN\user and user@domain are the user that is named without them

    def network(self, client: str | None) -> str | None:
        """Return the name of the narrowest network that *client*, an IP address, lies in; None when none does."""
        return next((held.name for held in self.places(client)), None)

    def places(self, client: str | None) -> Sequence[NamedNetwork]:
        """Return every network that *client*, an IP address, lies in, the narrowest first."""
        if client is None or not self.networks:
            return ()
        known = self._known.get(client)
        if known is None:
            address = ipaddress.ip_address(client)
            known = [place for held, place in self._ranges if address.version == held.version and address in held]
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[client] = known
        return known

    def excludes(self, *addresses: str | None) -> bool:
        """Return whether one of *addresses*, in canonical form, is never to be recorded. What is no address is not."""
        return bool(self.exclusions) and any(self._excluded(one) for one in addresses if one)

    def shared(self, address: str) -> str | None:
        """Return what *address*, in canonical form, is declared to be that many people share; None for all others."""
        for one in self.infrastructure:
            if _within(address, (ipaddress.ip_network(cidr) for cidr in one.cidr)):
                return f"the {one.kind} {one.name!r}"
        return None

    def mentions_excluded(self, record: bytes) -> bool:
        """Return whether the text of *record* holds an address that is never to be recorded."""
        if not self.exclusions:
            return False
        words = re.findall(rb"[0-9A-Fa-f:.]{2,45}", record)
        return any(self.excludes(ip_address(text)) for word in words for text in _spellings(word.decode()))

    def judge(self, use: Use) -> Judgement:
        """Return the verdict on a use, by the time at which it happened."""
        places = self.places(use.client)
        names = {place.name for place in places}
        units = self._units(use, places)
        restricted = []
        for allowed in self.sanctioned:
            if allowed.service != use.service:
                continue
            here = _from_here(allowed, names, units)
            if here is not None and allowed.during.holds(use.started, use.ended):
                return Judgement(Verdict.SANCTIONED, f"policy allows {use.service}{here}")
            restricted.append(_limits(allowed))
        if use.category == "sanctioned" and not restricted:
            return Judgement(Verdict.SANCTIONED, "the rules list it as a sanctioned system")
        excepted = self._excepted(use, names, units)
        return excepted or Judgement(Verdict.UNSANCTIONED, self._why_not(use, names, units, restricted))

    def applies(self, exception: Excepted, use: Use) -> bool:
        """Return whether *exception* is for such a use, whenever it was."""
        places = self.places(use.client)
        return self._applies(exception, use, {place.name for place in places}, self._units(use, places))

    def people(self, exception: Excepted) -> frozenset[str]:
        """Return the names of users that *exception* is for, as `Person.names` has them."""
        return frozenset(self.user(name) for name in exception.people)

    def user(self, name: str) -> str:
        """Return a user's name as it is compared: letters folded, and without a domain that the policy calls its own."""
        name = name.casefold()
        domain, slash, account = name.partition("\\")
        if slash and domain in self._domains:
            return account
        account, at, domain = name.rpartition("@")
        return account if at and domain in self._domains else name

    def own_hosts(self) -> dict[str, tuple[str, list[str]]]:
        """Return service id -> (name, hosts) for the sanctioned services whose hosts this policy gives."""
        return {a.service: (a.name or a.service, [host_name(h) or h for h in a.hosts]) for a in self.sanctioned if a.hosts}

    def _excepted(self, use: Use, names: set[str], units: set[str]) -> Judgement | None:
        for one in self.exceptions:
            if self._applies(one, use, names, units) and one.during.holds(use.started, use.ended):
                end = f" until {_stamp(one.during.until)}" if one.during.until else ""
                return Judgement(
                    Verdict.EXCEPTED,
                    f"excepted{end} under case {one.case} ({one.legal_basis}; approved by {one.approved_by})",
                    one.key,
                )
        return None

    def _applies(self, one: Excepted, use: Use, names: set[str], units: set[str]) -> bool:
        # Of several users at one address, each has to be excepted: it cannot be told whose use it was.
        if one.service != use.service:
            return False
        if one.networks and names.isdisjoint(one.networks):
            return False
        if one.units and units.isdisjoint(one.units):
            return False
        if not one.people:
            return True
        meant = self.people(one)
        return bool(use.people) and all(not meant.isdisjoint(self.user(name) for name in person.names) for person in use.people)

    def _why_not(self, use: Use, names: set[str], units: set[str], restricted: Sequence[str]) -> str:
        """Say why a use is against policy: what would have allowed it at another time or place is told."""
        for one in self.exceptions:
            if self._applies(one, use, names, units):
                if one.during.late(use.started):
                    return f"the exception of case {one.case} ended {_stamp(one.during.until)}"
                if one.during.early(use.ended):
                    return f"the exception of case {one.case} began only {_stamp(one.during.since)}"
                return f"the exception of case {one.case} covers only a part of it"
        if restricted:
            return f"policy allows {use.service} only {' or '.join(dict.fromkeys(restricted))}"
        return "no policy allows it"

    @staticmethod
    def _units(use: Use, places: Sequence[NamedNetwork]) -> set[str]:
        """Return the units whose use it is: those of the people, where a directory knows all of them, else the networks'."""
        people = {person.unit for person in use.people}
        if people and None not in people:
            return {unit for unit in people if unit} if len(people) == 1 else set()
        return {place.unit for place in places if place.unit}

    def _excluded(self, text: str) -> bool:
        return _within(text, self._never)

    @cached_property
    def _domains(self) -> frozenset[str]:
        return frozenset(domain.casefold() for domain in self.domains)

    @cached_property
    def _never(self) -> list[Network]:
        return [ipaddress.ip_network(cidr) for excluded in self.exclusions for cidr in excluded.cidr]

    @cached_property
    def _known(self) -> dict[str, list[NamedNetwork]]:
        return {}

    @cached_property
    def _ranges(self) -> list[tuple[Network, NamedNetwork]]:
        """The ranges, the narrowest first."""
        ranges = [(ipaddress.ip_network(cidr), network) for network in self.networks for cidr in network.cidr]
        return sorted(ranges, key=lambda held: -held[0].prefixlen)


def _within(text: str, networks: Iterable[Network]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address.version == held.version and address in held for held in networks)


def _spellings(word: str) -> list[str]:
    """Return the addresses that a word of a log may hold: alone, with a port behind it, in a sentence that ends."""
    bare = word.strip(".")
    return [bare, bare.strip(":"), bare.rpartition(":")[0]]


def _from_here(allowed: Sanctioned, names: set[str], units: set[str]) -> str | None:
    """Return in words from where a service is allowed, "" when from everywhere; None when not from here."""
    if not allowed.networks and not allowed.units:
        return ""
    here = [name for name in allowed.networks if name in names] or [unit for unit in allowed.units if unit in units]
    return f" from {here[0]}" if here else None


def _limits(allowed: Sanctioned) -> str:
    places = ", ".join([*allowed.networks, *allowed.units])
    parts = [f"from {places}"] if places else []
    parts += [f"since {_stamp(allowed.during.since)}"] if allowed.during.since else []
    parts += [f"until {_stamp(allowed.during.until)}"] if allowed.during.until else []
    return " ".join(parts)


def _stamp(time: datetime | None) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if time else ""


def _day(time: datetime | None) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d") if time else ""
