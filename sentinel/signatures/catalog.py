"""The rule set: the services that are looked for, and the digest that names them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from sentinel.signatures.service import Service


@dataclass(frozen=True)
class Catalog:
    """Services by id."""

    services: Mapping[str, Service]

    @classmethod
    def of(cls, services: Iterable[Service]) -> Catalog:
        """Return a catalog of *services*; of several with the same id, the last."""
        return cls({service.id: service for service in services})

    @property
    def canonical(self) -> str:
        """The rule set as text that depends on nothing but its meaning: kept beside the findings it made.

        It is put together anew whenever it is asked for: a feed of a million names has 25 MB of it.
        """
        return json.dumps([self.services[key].described for key in sorted(self.services)], sort_keys=True, ensure_ascii=True)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `canonical`, hex."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    def with_services(self, services: Iterable[Service]) -> Catalog:
        """Return a catalog in which *services* are added, or replace those with the same id."""
        return Catalog({**self.services, **{service.id: service for service in services}})
