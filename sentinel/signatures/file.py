"""The signature file: one service, how it shows, and the cases that prove it. See `docs/signatures.md`."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import hyperscan
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from sentinel.observation import host_name, ip_address
from sentinel.signatures.names import host_problem, is_host_name, is_registry
from sentinel.signatures.pattern import literal_start, path_database
from sentinel.signatures.service import KINDS, Service
from sentinel.signatures.spelling import fixed_part

RARE = 6
"""Characters that a needle has at least: shorter ones are in too many records."""

Category = Literal["face-search", "forensic-face-recognition", "reverse-image", "sanctioned", "visibility"]
StageWord = Literal["lookup", "contact", "visit", "login", "upload", "search", "result"]
BasisWord = Literal["observed", "inferred"]
Blinds = Literal["doh", "dot", "ech", "relay", "vpn", "tor", "nothing"]
Confidence = Literal["confirmed", "reported", "inferred"]
Role = Literal[
    "site", "app", "api", "login", "upload", "results", "static", "docs", "status", "marketing", "opt-out", "shop",
    "resolver", "relay", "vpn", "tunnel", "gateway", "canary",
]  # fmt: skip


def _host(text: str, *, platform: bool = False) -> str:
    problem = host_problem(text, platform=platform)
    if problem:
        raise ValueError(problem)
    return host_name(text) or text


def _host_pattern(text: str) -> str:
    pattern, behind = host_name(text) or "", fixed_part(text.lower())
    starred = [label for label in pattern.split(".") if "*" in label]
    if not starred or any(label.count("*") > 1 for label in starred) or not is_host_name(behind):
        raise ValueError(
            "a host_pattern has a * in one label or more, once in each, and behind the last a host such as example.com"
        )
    if not is_host_name(pattern.replace("*", "x")):
        raise ValueError(f"{text!r} with its stars filled in is no host name")
    if is_registry(behind):
        raise ValueError(f"everybody's names end in {behind!r}; name the site itself behind the last star")
    return pattern


def _url_host_pattern(text: str) -> str:
    return text if text == "*" else _host_pattern(text)


def _address(text: str) -> str:
    address = ip_address(text)
    if address is None:
        raise ValueError(f"{text!r} is no IP address")
    return address


def _linear(pattern: str) -> str:
    """Accept a regular expression that is anchored and that Hyperscan compiles: it cannot backtrack."""
    if not pattern.startswith("^"):
        raise ValueError("a path_regex begins with ^: it is matched from the path's first character")
    try:
        path_database(pattern)
    except hyperscan.error as error:
        raise ValueError(f"no regular expression that can be matched in linear time: {error}") from None
    return pattern


Host = Annotated[str, AfterValidator(lambda text: _host(text))]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]
UrlHostPattern = Annotated[str, AfterValidator(_url_host_pattern)]
Address = Annotated[str, AfterValidator(_address)]
Query = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+=[A-Za-z0-9_.-]*$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UrlEntry(_Model):
    """A request: host, and path or path_regex, where the method and the query matter only if they are given."""

    host: Host | None = None
    host_pattern: UrlHostPattern | None = Field(None, description="As an indicator's; a lone * is any host.")
    method: str | list[str] | None = None
    path: str | None = Field(None, pattern=r"^/")
    path_regex: Annotated[str, AfterValidator(_linear)] | None = None
    query: Query | list[Query] | None = Field(
        None, description="Parameters that must be in the query, such as rpt=imageview; cbir_id= stands for any value."
    )
    shared: bool = Field(
        False, description="The host serves much else: what is looked for is the path or query, never the host."
    )

    @model_validator(mode="after")
    def _has_one_host_and_path(self) -> UrlEntry:
        if (self.host is None) == (self.host_pattern is None):
            raise ValueError("a url has either a host or a host_pattern")
        if (self.path is None) == (self.path_regex is None):
            raise ValueError("a url has either a path or a path_regex")
        if self.host_pattern == "*" and not (self.shared and self.method and self.path):
            raise ValueError("a url on any host is shared, and has a literal path and a method: nothing else tells whose it is")
        if (self.host_pattern or "").startswith("*.") and not self.shared:
            raise ValueError("a url on every name below a host is shared: the host's own name tells nothing")
        if self.shared and not self.query and len(self.path or literal_start(self.path_regex or "")) < RARE:
            raise ValueError(
                f"logs are searched for the path of a url on a shared host: begin it with {RARE} literal characters or more, "
                "or give a query"
            )
        return self


class IndicatorEntry(_Model):
    """One way a service shows, and the stage that it proves when traffic reaches it."""

    platform: bool = Field(
        False, description="The domain is a public suffix of a company, whose users' names are all meant; visibility only."
    )
    domain: str | None = None
    host: Host | None = None
    host_pattern: HostPattern | None = Field(
        None, description="A * stands for one character or more of its label: jsc*.pimeyes.com, rekognition.*.amazonaws.com."
    )
    url: UrlEntry | None = None
    mail_from: Host | None = None
    android: str | None = None
    ios: str | None = None
    extension: str | None = Field(None, pattern=r"^[a-p]{32}$", description="A Chrome extension's id.")
    stage: StageWord = "contact"
    basis: BasisWord | None = None
    role: Role | None = Field(None, description="What the host is for.")
    confidence: Confidence | None = Field(None, description="Where it differs from the service's.")
    polled: bool = Field(
        False, description="One search is several such requests: they prove one search in a session, not each its own."
    )
    secret: bool = Field(
        False, description="A search that leaves no history at the service: whoever runs it hides it. The highest severity."
    )
    note: str | None = None

    @field_validator("domain")
    @classmethod
    def _is_a_site(cls, domain: str | None, known: ValidationInfo) -> str | None:
        return None if domain is None else _host(domain, platform=known.data.get("platform", False))

    @model_validator(mode="after")
    def _is_one_thing(self) -> IndicatorEntry:
        if sum(getattr(self, k) is not None for k in KINDS) != 1:
            raise ValueError(f"an indicator is one of {', '.join(KINDS)}")
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
    confidence: Confidence = Field(
        "confirmed", description="Shown by the vendor or by independent clients; only named by others; or guessed."
    )
    vendor: str | None = None
    country: list[Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] = Field(default_factory=list, description="ISO 3166 alpha-2.")
    blinds: Blinds | None = Field(None, description="What a visibility service hides traffic by.")
    references: list[str] = Field(default_factory=list)
    valid_from: date | None = Field(None, description="When the service began, as far as known. It bounds no match.")
    valid_until: date | None = Field(None, description="When it ended, as far as known. A match after it is still a match.")
    note: str | None = None
    addresses: list[Address] = Field(
        default_factory=list, description="Its IP addresses. Nothing is matched by them: they are for firewalls."
    )
    indicators: list[IndicatorEntry] = Field(default_factory=list)
    activity: ActivityEntry | None = None
    tests: Cases = Field(default_factory=Cases)

    @model_validator(mode="after")
    def _fits_together(self) -> ServiceFile:
        if (self.category == "visibility") != (self.blinds is not None):
            raise ValueError("'blinds' is given for the category visibility, and only there")
        if self.category != "visibility" and any(indicator.platform for indicator in self.indicators):
            raise ValueError("only a visibility service may name a public suffix: the people below it are not told apart")
        if self.category != "sanctioned" and not self.indicators and not self.addresses:
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
