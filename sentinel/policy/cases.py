"""The policy's own tests: sentences of a person's, held against what the policy says.

    jdoe on 2026-03-01 at clearview-ai: excepted
    jdoe from 10.20.3.4 on 2026-03-01T14:03 at betaface: sanctioned
    Detective Bureau on 2026-03-01 at betaface: sanctioned
    10.9.0.5 on 2026-03-01 at pimeyes: excluded

Before "on" stands a user, a place (an address, a network or a unit of the policy), or a user "from" a place. A date means all
of that day.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sentinel.observation import ip_address
from sentinel.policy.moments import Zone, beginning, end
from sentinel.policy.policy import NamedNetwork, Person, Policy, Use

EXCLUDED = "excluded"
WORDS = ("unsanctioned", "sanctioned", "excepted", EXCLUDED)

SENTENCE = re.compile(
    r"(?P<who>\S.*?)\s+on\s+(?P<when>\d{4}-\d\d-\d\d(?:[T ]\S+)?)\s+at\s+(?P<service>\S+?)\s*:\s*(?P<verdict>\S+)\s*\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Case:
    """One sentence, taken apart."""

    text: str
    user: str | None
    place: str | None  # an address, or the name of a network or unit
    started: datetime
    ended: datetime
    service: str
    verdict: str


def case_of(text: str, zone: Zone, places: frozenset[str]) -> Case:
    """Return the sentence's parts; times without a zone are in *zone*. *places* are the names of networks and units.

    Raises:
        ValueError: It is no such sentence.
    """
    found = SENTENCE.match(text)
    if found is None:
        raise ValueError("write a test such as 'jdoe on 2026-03-01 at clearview-ai: excepted'")
    if found["verdict"] not in WORDS:
        raise ValueError(f"there is no verdict {found['verdict']!r}; write one of {', '.join(WORDS)}")
    user, word, place = found["who"].rpartition(" from ")
    if not word and (place in places or ip_address(place)):
        user = ""
    elif not word:
        user, place = place, ""
    elif place not in places and not ip_address(place):
        raise ValueError(f"there is no network or unit {place!r}, and it is no address")
    started = beginning(found["when"], zone)
    last = end(found["when"], zone)
    ended = last - timedelta(microseconds=1) if last > started else started
    return Case(text, user or None, place or None, started, ended, found["service"], found["verdict"])


def verdict_on(case: Case, policy: Policy, category: str) -> tuple[str, str]:
    """Return what *policy* says of a case whose service is of *category*, and why."""
    client = ip_address(case.place) or _address_in(case.place, policy)
    if policy.excludes(client):
        return EXCLUDED, "its address is never recorded"
    people = [Person.named(case.user)] if case.user else []
    said = policy.judge(Use(case.service, category, client, people, case.started, case.ended))
    return said.verdict.value, said.reason


def failure(case: Case, policy: Policy, categories: Mapping[str, str]) -> str | None:
    """Return in a sentence how *policy* fails a case; None when it holds. *categories* are the services', by id."""
    if case.service not in categories:
        return f"no rule describes the service {case.service!r}"
    verdict, why = verdict_on(case, policy, categories[case.service])
    return None if verdict == case.verdict else f"the policy says {verdict}: {why}"


def _address_in(name: str | None, policy: Policy) -> str | None:
    """Return an address of the network or unit *name*, one that no narrower network holds where there is one."""
    ranges = [cidr for network in policy.networks if name in (network.name, network.unit) for cidr in network.cidr]
    candidates = [str(address) for cidr in ranges for address in _ends(cidr)]
    own = (one for one in candidates if _named(policy.places(one)[0], name))
    return next(own, candidates[0] if candidates else None)


def _named(network: NamedNetwork, name: str | None) -> bool:
    return name in (network.name, network.unit)


def _ends(cidr: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    network = ipaddress.ip_network(cidr)
    return [network[0], network[-1], network[network.num_addresses // 2]]
