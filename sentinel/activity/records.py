"""What the engine makes of observations: findings, sessions, alerts. Plain values; `store/` keeps and `schemas/` words them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sentinel.observation import Observation
from sentinel.terms import Basis, Severity, Stage, Verdict

AlertKind = Literal[
    "opened", "escalated", "closed", "source-silent", "coverage-gap", "sink-backlog", "sink-test", "exception-ended", "revised"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a finding's raw bytes lie: `offset` in a log's (decompressed) bytes, or `frame`, counted from 1, in a capture."""

    path: str
    offset: int | None = None
    frame: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An observation that an indicator matched, with its provenance. Evidence: never changed, never dropped."""

    id: str
    observation: Observation
    service: str  # the service's id
    category: str
    indicator: str  # the indicator as written, such as "host app.clearview.ai"
    stage: Stage
    basis: Basis
    name: str  # the host that matched
    origin: Origin
    raw: bytes
    sha256: str  # of `raw`, hex
    parser: str  # "squid-native/1"
    ruleset: str  # the rule set's digest
    arrived: datetime  # UTC
    reached: bool = True  # False: a proxy or resolver refused it; an attempt, never a visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The findings of one client on one service without a long gap between them. Times are event times in UTC."""

    id: str
    service: str
    service_name: str
    category: str
    client: str | None  # an IP address
    user: str | None  # the one authenticated user; None also when there were several
    device: str | None
    network: str | None  # the policy's name for the client's network
    started: datetime
    ended: datetime
    stage: Stage
    basis: Basis
    severity: Severity
    verdict: Verdict
    reason: str  # why this verdict and this stage, in a sentence
    exception: str | None = None  # the policy's exception that the verdict rests on
    own_device: str | None = None  # the one that its records name; `device` may come from who had the address
    identity: str | None = None  # who had the address all the time, and how that is known, or why it is not
    attempts: int = 0  # accesses that were refused
    searches: int = 0  # records that prove a search
    secret_searches: int = 0  # those of them in a mode that leaves no history at the service
    uploads: int = 0
    findings: int = 0  # how many; the findings themselves name their session in the store
    names: tuple[str, ...] = ()
    users: tuple[str, ...] = ()  # every authenticated user that the records name
    bytes_up: int | None = None
    bytes_down: int | None = None
    open: bool = True
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What is sent. `id` is deterministic: the same alert made again after a crash has the same one."""

    id: str  # at most 40 characters, the most that CEF's externalId takes
    kind: AlertKind
    created: datetime  # UTC
    severity: Severity
    session: Session | None
    text: str  # one sentence for people, host names defanged
    url: str | None = None  # of the finding that raised it, as observed: for machine fields only
    method: str | None = None
    server: str | None = None
    server_port: int | None = None
    client_port: int | None = None
    extra: dict[str, str] = field(default_factory=dict)
