"""The policy file, or the `policy:` part of the configuration.

networks:
  - {name: Detective Bureau, cidr: [10.20.0.0/16, "2001:db8:20::/48"]}
sanctioned:
  - {service: county-system, hosts: [faces.county.example]}
  - {service: betaface, networks: [Detective Bureau]}
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sentinel.policy.policy import NamedNetwork, Policy, Sanctioned


def _as_network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; write a network such as 10.20.0.0/16 or one address") from None
    return text


class NetworkEntry(BaseModel):
    """One or more address ranges under the name that people know them by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="The unit or place, as reports should name it.")
    cidr: list[Annotated[str, AfterValidator(_as_network)]] = Field(min_length=1, description="IPv4 or IPv6 networks.")


class SanctionedEntry(BaseModel):
    """A service whose use is allowed, everywhere or from some networks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str = Field(description="The service's id, as `sentinel rules list` shows it; a new one needs `hosts`.")
    name: str | None = Field(None, description="How reports name a service that the rules do not know.")
    hosts: list[str] = Field(default_factory=list, description="The service's own hosts, where they are not in the rules.")
    networks: list[str] = Field(default_factory=list, description="From which networks, by name; empty: from all.")


class PolicyFile(BaseModel):
    """What is allowed, and to whom."""

    model_config = ConfigDict(extra="forbid")

    networks: list[NetworkEntry] = Field(default_factory=list, description="The department's networks by name.")
    sanctioned: list[SanctionedEntry] = Field(default_factory=list, description="Services whose use is allowed.")

    @model_validator(mode="after")
    def _networks_are_known(self) -> PolicyFile:
        known = {network.name for network in self.networks}
        for allowed in self.sanctioned:
            for name in allowed.networks:
                if name not in known:
                    raise ValueError(
                        f"the sanctioned service {allowed.service!r} names the network {name!r}, which is not listed"
                    )
        return self

    @property
    def policy(self) -> Policy:
        """The policy that the file describes."""
        return Policy(
            networks=[NamedNetwork(entry.name, entry.cidr) for entry in self.networks],
            sanctioned=[Sanctioned(entry.service, entry.name, entry.hosts, entry.networks) for entry in self.sanctioned],
        )
