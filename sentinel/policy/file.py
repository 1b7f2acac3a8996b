"""The policy file, or the `policy:` part of the configuration.

networks:
  - {name: Detective Bureau, cidr: [10.20.0.0/16, "2001:db8:20::/48"], unit: Detectives, zone: offices}
sanctioned:
  - {service: county-system, hosts: [faces.county.example]}
  - {service: betaface, networks: [Detective Bureau]}
exceptions:
  - {service: clearview-ai, person: jdoe, from: 2026-03-01, until: 2026-03-31, case: 2026-0117,
     legal_basis: court order 12/26, approved_by: Chief Adams}
exclusions:
  - {name: Ombuds office, cidr: [10.9.0.0/28]}
tests:
  - "jdoe on 2026-03-01 at clearview-ai: excepted"

This module says what such a file may hold; what its parts must say of each other is checked in `reading.py`.
"""

from __future__ import annotations

import ipaddress
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from sentinel.policy.moments import Zone, beginning, end
from sentinel.policy.policy import During, Excepted, Excluded, Infrastructure, NamedNetwork, Policy, Sanctioned

LONGEST = 500
"""Characters of a name or a reason: it goes into every alert that it concerns."""


def _as_network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; write a network such as 10.20.0.0/16 or one address") from None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        raise ValueError(f"{text} is IPv4 written as IPv6; write it as IPv4, as addresses are compared")
    return str(network)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_moment(value: Any) -> Any:
    if not isinstance(value, str | date | datetime):
        raise ValueError("no date; write 2026-03-01 or 2026-03-01T14:00+01:00")
    beginning(value, None)
    return value


def _as_text(value: Any) -> Any:
    """Take a number, which is how YAML reads a case such as 20260117, for the text that it is; 2026-0117 is text already."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_sentence(value: Any) -> Any:
    """Return a test as one sentence: without quotes, YAML reads its colon as a key's."""
    if isinstance(value, dict) and len(value) == 1:
        ((sentence, verdict),) = value.items()
        return f"{sentence}: {verdict}"
    return value


Cidr = Annotated[str, AfterValidator(_as_network)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Names = Annotated[list[Name], BeforeValidator(_as_list)]
Moment = Annotated[Any, BeforeValidator(_as_moment)]
Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=LONGEST)]
Sentence = Annotated[str, BeforeValidator(_as_sentence), Field(min_length=1, max_length=LONGEST)]

FROM = "A date, from its midnight on, or a time; without an offset in the zone of the settings."
UNTIL = "A date, to its last moment, or a time, exclusive."


class NetworkEntry(BaseModel):
    """One or more address ranges under the name that people know them by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="The place, as reports should name it.")
    cidr: list[Cidr] = Field(min_length=1, description="IPv4 or IPv6 networks.")
    unit: Name | None = Field(None, description="Whose it is; policy may allow or except by unit.")
    zone: Name | None = Field(None, description="What kind of place it is, such as offices, guests or servers.")


class _Timed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    since: Moment | None = Field(None, alias="from", description=FROM)
    until: Moment | None = Field(None, description=UNTIL)

    def during(self, zone: Zone) -> During:
        """Return from when until when, in UTC."""
        return During(
            beginning(self.since, zone) if self.since is not None else None,
            end(self.until, zone) if self.until is not None else None,
        )


class SanctionedEntry(_Timed):
    """A service whose use is allowed, everywhere or from some networks or units, for good or for a time."""

    service: Name = Field(description="The service's id, as `sentinel rules list` shows it; a new one needs `hosts`.")
    name: Name | None = Field(None, description="How reports name a service that the rules do not know.")
    hosts: list[str] = Field(default_factory=list, description="The service's own hosts, where they are not in the rules.")
    networks: Names = Field(default_factory=list, description="From which networks, by name; empty: from all.")
    units: Names = Field(default_factory=list, description="By which units; empty: by all.")


class ExceptionEntry(_Timed):
    """The use of a service that somebody approved, for a time, to some people, units or networks."""

    service: Name = Field(description="The service's id.")
    person: Names = Field(default_factory=list, description="Who may use it: a user's name, or several.")
    unit: Names = Field(default_factory=list, description="Which units may.")
    network: Names = Field(default_factory=list, description="From which networks it may be used.")
    since: Moment = Field(alias="from", description=FROM)
    until: Moment = Field(description=UNTIL)
    case: Text = Field(description="The number of the case that it is for.")
    legal_basis: Text = Field(description="What it rests on.")
    approved_by: Text = Field(description="Who approved it.")


class ExclusionEntry(BaseModel):
    """Addresses of which nothing is ever recorded, such as those of counsel or an ombuds office."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="Whose they are.")
    cidr: list[Cidr] = Field(min_length=1, description="IPv4 or IPv6 networks, or single addresses.")


class InfrastructureEntry(BaseModel):
    """Addresses behind which many people are: nothing that comes from them is taken for one person's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="What it is called.")
    kind: Literal["nat", "proxy", "resolver", "jump-host", "terminal", "vpn-gateway"] = Field(description="What it is.")
    cidr: list[Cidr] = Field(min_length=1, description="Its addresses.")


class PolicyFile(BaseModel):
    """What is allowed, to whom and when, and what is never recorded."""

    model_config = ConfigDict(extra="forbid")

    networks: list[NetworkEntry] = Field(default_factory=list, description="The department's networks by name.")
    sanctioned: list[SanctionedEntry] = Field(default_factory=list, description="Services whose use is allowed.")
    exceptions: list[ExceptionEntry] = Field(default_factory=list, description="Uses that were approved, for a time.")
    exclusions: list[ExclusionEntry] = Field(default_factory=list, description="Addresses that are never recorded.")
    infrastructure: list[InfrastructureEntry] = Field(
        default_factory=list, description="Addresses that many people share, such as a NAT's or a proxy's."
    )
    units: list[Name] = Field(default_factory=list, description="Units that only a directory names, and no network.")
    domains: list[Name] = Field(
        default_factory=list, description=r"Domains where DOMAIN\jdoe and jdoe@domain are the jdoe of the exceptions."
    )
    tests: list[Sentence] = Field(default_factory=list, description="Sentences that have to be so; see docs/policy.md.")

    def made(self, zone: Zone) -> Policy:
        """Return the policy that the file describes; times without an offset are in *zone*."""
        return Policy(
            networks=[NamedNetwork(one.name, one.cidr, one.unit, one.zone) for one in self.networks],
            sanctioned=[
                Sanctioned(one.service, one.name, one.hosts, one.networks, one.units, one.during(zone))
                for one in self.sanctioned
            ],
            exceptions=[
                Excepted(
                    one.service, one.person, one.unit, one.network, one.during(zone), one.case, one.legal_basis, one.approved_by
                )
                for one in self.exceptions
            ],
            exclusions=[Excluded(one.name, one.cidr) for one in self.exclusions],
            infrastructure=[Infrastructure(one.name, one.kind, one.cidr) for one in self.infrastructure],
            domains=list(self.domains),
        )
