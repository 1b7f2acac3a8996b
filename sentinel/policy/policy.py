"""What is allowed, to whom, and the verdict that follows."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sentinel.observation import host_name
from sentinel.terms import Verdict

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class NamedNetwork:
    """One or more address ranges (CIDR) under the name that people know them by."""

    name: str
    cidr: Sequence[str]


@dataclass(frozen=True, slots=True)
class Sanctioned:
    """A service whose use is allowed: from the networks named, or from everywhere. `hosts`: its own, if no rule has them."""

    service: str
    name: str | None = None
    hosts: Sequence[str] = ()
    networks: Sequence[str] = ()


@dataclass(frozen=True)
class Policy:
    """What is allowed, and to whom. Without anything in it, nothing is but what the rules call sanctioned."""

    networks: Sequence[NamedNetwork] = ()
    sanctioned: Sequence[Sanctioned] = ()

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

    @cached_property
    def _ranges(self) -> list[tuple[Network, str]]:
        """The ranges, the narrowest first."""
        ranges = [(ipaddress.ip_network(cidr), network.name) for network in self.networks for cidr in network.cidr]
        return sorted(ranges, key=lambda held: -held[0].prefixlen)
