"""The signature file: one service, how it shows, and the cases that prove it. See `docs/signatures.md`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import hyperscan
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sentinel.observation import host_name
from sentinel.signatures.names import host_problem, is_host_name
from sentinel.signatures.pattern import path_database
from sentinel.signatures.service import Service

Category = Literal["face-search", "forensic-face-recognition", "reverse-image", "sanctioned", "visibility"]
StageWord = Literal["lookup", "contact", "visit", "login", "upload", "search", "result"]
BasisWord = Literal["observed", "inferred"]
Blinds = Literal["doh", "dot", "ech", "relay", "vpn", "tor"]


def _host(text: str) -> str:
    problem = host_problem(text)
    if problem:
        raise ValueError(problem)
    return host_name(text) or text


def _host_pattern(text: str) -> str:
    pattern = host_name(text) or ""
    first, _dot, rest = pattern.partition(".")
    if first.count("*") != 1 or first == "*" or not is_host_name(rest):
        raise ValueError("a host_pattern has one * and at least one more character in its first label, and a host after it")
    return pattern


def _linear(pattern: str) -> str:
    """Accept a regular expression that is anchored and that Hyperscan compiles: it cannot backtrack."""
    if not pattern.startswith("^"):
        raise ValueError("a path_regex begins with ^: it is matched from the path's first character")
    try:
        path_database(pattern)
    except hyperscan.error as error:
        raise ValueError(f"no regular expression that can be matched in linear time: {error}") from None
    return pattern


Host = Annotated[str, AfterValidator(_host)]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UrlEntry(_Model):
    """A request: host, and path or path_regex, where the method and the query matter only if they are given."""

    host: Host | None = None
    host_pattern: HostPattern | None = None
    method: str | list[str] | None = None
    path: str | None = Field(None, pattern=r"^/")
    path_regex: Annotated[str, AfterValidator(_linear)] | None = None
    query: str | None = Field(None, description="A parameter that must be in the query, such as rpt=imageview.")
    shared: bool = Field(False, description="The host serves much else: the path is what is looked for, never the host.")

    @model_validator(mode="after")
    def _has_one_host_and_path(self) -> UrlEntry:
        if (self.host is None) == (self.host_pattern is None):
            raise ValueError("a url has either a host or a host_pattern")
        if self.shared and self.host is None:
            raise ValueError("a url on a shared host names that host")
        if (self.path is None) == (self.path_regex is None):
            raise ValueError("a url has either a path or a path_regex")
        if self.shared and self.path is None:
            raise ValueError("a url on a shared host has a literal path: it is what the logs are searched for")
        return self


class IndicatorEntry(_Model):
    """One way a service shows, and the stage that it proves when traffic reaches it."""

    domain: Host | None = None
    host: Host | None = None
    host_pattern: HostPattern | None = Field(None, description="One * in the first label, such as jsc*.pimeyes.com.")
    url: UrlEntry | None = None
    mail_from: Host | None = None
    android: str | None = None
    ios: str | None = None
    stage: StageWord = "contact"
    basis: BasisWord | None = None
    polled: bool = Field(
        False, description="One search is several such requests: they prove one search in a session, not each its own."
    )
    note: str | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> IndicatorEntry:
        given = [
            k for k in ("domain", "host", "host_pattern", "url", "mail_from", "android", "ios") if getattr(self, k) is not None
        ]
        if len(given) != 1:
            raise ValueError("an indicator is one of domain, host, host_pattern, url, mail_from, android, ios")
        return self


class AtLeast(_Model):
    """A lower bound in bytes."""

    at_least: int = Field(gt=0)


class ActivityEntry(_Model):
    """How a search looks when only sizes are visible."""

    host: Host
    upload_bytes: AtLeast | None = None


class Case(_Model):
    """One test: exactly one of the kinds, and the stage it must or must not give."""

    dns: str | None = None
    sni: str | None = None
    connect: str | None = None
    url: str | None = Field(None, description='"METHOD URL", or a URL alone for GET.')
    mail_from: str | None = None
    stage: StageWord | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Case:
        if sum(getattr(self, k) is not None for k in ("dns", "sni", "connect", "url", "mail_from")) != 1:
            raise ValueError("a case is one of dns, sni, connect, url, mail_from")
        return self


class Cases(_Model):
    """What must match this service, and what must not."""

    match: list[Case] = Field(default_factory=list)
    no_match: list[Case] = Field(default_factory=list)


class ServiceFile(_Model):
    """One service, as its file describes it."""

    schema_: Literal[1] = Field(alias="schema")
    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    name: str
    category: Category
    severity: Literal["info", "low", "medium", "high", "critical"]
    confidence: Literal["confirmed", "reported", "inferred"] = "confirmed"
    blinds: Blinds | None = Field(None, description="What a visibility service hides traffic by.")
    references: list[str] = Field(default_factory=list)
    valid_from: date | None = Field(None, description="When the service began, as far as known. It bounds no match.")
    valid_until: date | None = Field(None, description="When it ended, as far as known. A match after it is still a match.")
    note: str | None = None
    indicators: list[IndicatorEntry] = Field(default_factory=list)
    activity: ActivityEntry | None = None
    tests: Cases = Field(default_factory=Cases)

    @model_validator(mode="after")
    def _fits_together(self) -> ServiceFile:
        if (self.category == "visibility") != (self.blinds is not None):
            raise ValueError("'blinds' is given for the category visibility, and only there")
        if self.category != "sanctioned" and not self.indicators:
            raise ValueError("a service needs at least one indicator")
        if not self.references and self.category != "sanctioned":
            raise ValueError("a service needs a reference: who says that these names are its own")
        return self

    @property
    def described(self) -> dict[str, Any]:
        """What the digest of a rule set is made of: everything but the cases."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"tests"})

    @property
    def service(self) -> Service:
        """The service that this file describes."""
        return Service.of(self.described)
