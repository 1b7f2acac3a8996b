"""A service as the matcher needs it: plain records, so that a replay loads nothing that checks files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentinel.signatures.hosts import HostList

KINDS = ("domain", "host", "host_pattern", "url", "mail_from", "android", "ios", "extension")
"""What an indicator can be."""


@dataclass(frozen=True, slots=True)
class Url:
    """A request: on `host` or on hosts that fit `host_pattern`, with a `path` or a path that fits `path_regex`."""

    host: str | None = None
    host_pattern: str | None = None  # "*" alone: any host
    methods: frozenset[str] = frozenset()  # those that count; empty: any
    path: str | None = None
    path_regex: str | None = None
    query: tuple[str, ...] = ()  # parameters that must be there; "name=" stands for any value but an empty one
    shared: bool = False  # the host serves much else: query or path is what is looked for

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Url:
        """Return what a signature file's `url` describes."""
        rest = dict(described)
        method, query = rest.pop("method", None) or [], rest.pop("query", None) or []
        methods = frozenset([method] if isinstance(method, str) else method)
        return cls(**rest, methods=methods, query=tuple([query] if isinstance(query, str) else query))


@dataclass(frozen=True, slots=True)
class Indicator:
    """One way a service shows, and the stage that it proves when traffic reaches it. One of the first eight is given."""

    domain: str | None = None
    host: str | None = None
    host_pattern: str | None = None
    url: Url | None = None
    mail_from: str | None = None
    android: str | None = None
    ios: str | None = None
    extension: str | None = None
    stage: str = "contact"
    basis: str | None = None
    role: str | None = None
    confidence: str | None = None  # None: the service's
    polled: bool = False
    secret: bool = False  # a search that the service itself keeps no record of
    platform: bool = False
    note: str | None = None

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Indicator:
        """Return what a signature file's indicator describes."""
        url = described.get("url")
        return cls(**{**described, "url": Url.of(url)} if url else described)

    @property
    def label(self) -> str:
        """The indicator as a person would say it."""
        if self.url:
            methods = "|".join(sorted(self.url.methods)) or "any"
            asked = f"?{'&'.join(self.url.query)}" if self.url.query else ""
            path = self.url.path or " " + str(self.url.path_regex)
            return f"url {methods} {self.url.host or self.url.host_pattern}{path}{asked}"
        kind = next(k for k in KINDS if getattr(self, k) is not None)
        return f"{kind} {getattr(self, kind)}"


@dataclass(frozen=True, slots=True)
class Activity:
    """How a search looks when only sizes are visible: so many bytes sent to a host, or below it, are a photo."""

    host: str
    upload_bytes: int | None = None  # at least

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Activity:
        """Return what a signature file's `activity` describes."""
        return cls(described["host"], described.get("upload_bytes", {}).get("at_least"))


@dataclass(frozen=True, slots=True)
class Service:
    """One service, as its file describes it; `described` is the whole description (see `file.ServiceFile.described`)."""

    id: str
    name: str
    category: str
    severity: str
    blinds: str | None
    indicators: Sequence[Indicator]
    activity: Activity | None
    described: Mapping[str, Any]
    hosts: HostList | None = None  # of a feed: its names, which are its indicators

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Service:
        """Return the service that a checked description describes."""
        if "names" in described:
            return _feed(described)
        shape = described.get("activity")
        return cls(
            id=described["id"],
            name=described["name"],
            category=described["category"],
            severity=described["severity"],
            blinds=described.get("blinds"),
            indicators=tuple(map(Indicator.of, described["indicators"])),
            activity=Activity.of(shape) if shape else None,
            described=described,
        )

    @property
    def ended(self) -> date | None:
        """When the service ended, as far as known: from then on its names may be somebody else's."""
        until = self.described.get("valid_until")
        return date.fromisoformat(until) if until else None

    @property
    def references(self) -> Sequence[str]:
        """Who says that these names are the service's own."""
        return list(self.described["references"])


def _feed(described: Mapping[str, Any]) -> Service:
    """Return a service whose names are a list; see `feed.py`."""
    from sentinel.signatures.hosts import Domains, HostList  # numpy loads slowly, and few have a list

    hosts = HostList(described["names"])
    return Service(
        id=described["id"],
        name=described["name"],
        category=described["category"],
        severity=described["severity"],
        blinds=None,
        indicators=Domains(hosts),
        activity=None,
        described=described,
        hosts=hosts,
    )
