"""The policy file, or the `policy:` part of the configuration, and the verdict it gives.

networks:
  - {name: Detective Bureau, cidr: [10.20.0.0/16, "2001:db8:20::/48"]}
sanctioned:
  - {service: county-system, hosts: [faces.county.example]}
  - {service: betaface, networks: [Detective Bureau]}
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from sentinel.observation import host_name
from sentinel.terms import Verdict

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _as_network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; write a network such as 10.20.0.0/16 or one address") from None
    return text


class NamedNetwork(BaseModel):
    """One or more address ranges under the name that people know them by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="The unit or place, as reports should name it.")
    cidr: list[Annotated[str, AfterValidator(_as_network)]] = Field(min_length=1, description="IPv4 or IPv6 networks.")


class Sanctioned(BaseModel):
    """A service whose use is allowed, everywhere or from some networks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str = Field(description="The service's id, as `sentinel rules list` shows it; a new one needs `hosts`.")
    name: str | None = Field(None, description="How reports name a service that the rules do not know.")
    hosts: list[str] = Field(default_factory=list, description="The service's own hosts, where they are not in the rules.")
    networks: list[str] = Field(default_factory=list, description="From which networks, by name; empty: from all.")


class Policy(BaseModel):
    """What is allowed, and to whom."""

    model_config = ConfigDict(extra="forbid")

    networks: list[NamedNetwork] = Field(default_factory=list, description="The department's networks by name.")
    sanctioned: list[Sanctioned] = Field(default_factory=list, description="Services whose use is allowed.")

    _ranges: list[tuple[Network, str]] = PrivateAttr(default_factory=list)  # the narrowest first

    @model_validator(mode="after")
    def _networks_are_known(self) -> Policy:
        known = {network.name for network in self.networks}
        for allowed in self.sanctioned:
            for name in allowed.networks:
                if name not in known:
                    raise ValueError(
                        f"the sanctioned service {allowed.service!r} names the network {name!r}, which is not listed"
                    )
        return self

    def model_post_init(self, _context: object) -> None:
        """Sort the ranges so that the narrowest one that holds an address comes first."""
        ranges = [(ipaddress.ip_network(cidr), network.name) for network in self.networks for cidr in network.cidr]
        self._ranges = sorted(ranges, key=lambda held: -held[0].prefixlen)

    def network(self, client: str | None) -> str | None:
        """Return the name of the narrowest network that *client*, an IP address, lies in; None when none does."""
        if client is None:
            return None
        address = ipaddress.ip_address(client)
        return next((name for held, name in self._ranges if address.version == held.version and address in held), None)

    def judge(self, service: str, category: str, network: str | None) -> tuple[Verdict, str]:
        """Return the verdict on the use of *service* from *network*, and the reason in words."""
        for allowed in self.sanctioned:
            if allowed.service == service and (not allowed.networks or network in allowed.networks):
                where = f" from {network}" if allowed.networks else ""
                return Verdict.SANCTIONED, f"policy allows {service}{where}"
        if category == "sanctioned":
            return Verdict.SANCTIONED, "the rules list it as a sanctioned system"
        return Verdict.UNSANCTIONED, "no policy allows it"

    def own_hosts(self) -> dict[str, tuple[str, list[str]]]:
        """Return service id -> (name, hosts) for the sanctioned services whose hosts this policy gives."""
        return {a.service: (a.name or a.service, [host_name(h) or h for h in a.hosts]) for a in self.sanctioned if a.hosts}
