"""Folds findings into sessions: the findings of one client on one service with no gap between neighbours above a limit.

Findings may come in any order. Two of the same client and service belong together when a chain of findings joins them, each
step at most the gap; that is a property of the set, so the sessions are the same whatever order it was read in. A late
finding may therefore widen a session, or join two into one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from sentinel.activity.naming import named, use_of
from sentinel.activity.records import Alert, Finding, Session
from sentinel.activity.wording import closed_text, escalated_text, hidden_text, opened_text, revised_text
from sentinel.policy.policy import Policy
from sentinel.signatures.service import Service
from sentinel.terms import Basis, Severity, Stage, Verdict

if TYPE_CHECKING:
    from sentinel.identity.directory import Directory

GAP = timedelta(minutes=30)
REMEMBERED = timedelta(hours=24)
"""How long after its end a closed session can still be joined by a late finding."""

CAPS = {Stage.LOOKUP: Severity.LOW, Stage.CONTACT: Severity.MEDIUM, Stage.VISIT: Severity.MEDIUM}
"""The most that a stage is worth. A look-up is what browsers do for a link on a page, so it never rings loudly."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What folding needs to know of a service."""

    name: str
    category: str
    severity: Severity
    secret: frozenset[str] = frozenset()  # the indicators of searches that leave no history at the service
    ended: date | None = None  # when the service ended, as far as known

    @classmethod
    def of(cls, service: Service) -> ServiceFacts:
        """Return the facts of a service of the rules."""
        return cls(
            name=service.name,
            category=service.category,
            severity=Severity.of(service.severity),
            secret=frozenset(one.label for one in service.indicators if one.secret) if service.hosts is None else frozenset(),
            ended=service.ended,
        )


@dataclass(slots=True)
class Changes:
    """What folding a batch of findings did. `merged` maps the id of a session that is no more to the one that took it over."""

    belongs: dict[str, str] = field(default_factory=dict)  # finding id -> session id
    sessions: dict[str, Session] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)


def digest(*parts: str) -> str:
    """Return 32 hex digits that depend on nothing but *parts*."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def client_key(finding: Finding) -> str:
    """Return who a finding is about: the address, else the user, else the device; those that say none are kept together."""
    seen = finding.observation
    return seen.client or seen.user or seen.device or "unknown"


def session_key(session: Session) -> str:
    """Return the same for a session that the store kept; see `client_key`."""
    return session.client or (session.users[0] if session.users else None) or session.device or "unknown"


class Sessions:
    """The sessions that a new finding may still belong to."""

    def __init__(
        self,
        services: Mapping[str, ServiceFacts],
        policy: Policy,
        *,
        gap: timedelta = GAP,
        forget: bool = True,
        directory: Directory | None = None,
    ) -> None:
        """Start with none. With *forget*, sessions that closed `REMEMBERED` ago go; a replay keeps all until it ends.

        *directory* tells who had an address; without one a session names whom its own records name.
        """
        self._services = services
        self._policy = policy
        self._directory = directory
        self._serving: dict[str, str] = {}  # address -> what it is for others, as records show
        self._gap = gap
        self._forget = forget
        self._known: dict[Key, list[Session]] = {}

    def use(self, services: Mapping[str, ServiceFacts], policy: Policy) -> None:
        """Judge by other services and another policy from now on."""
        self._services = services
        self._policy = policy

    def restore(self, key: str, session: Session) -> None:
        """Take up a session that the store kept; before there was `identity`, a device was always its records' own."""
        if session.identity is None and session.own_device is None:
            session = replace(session, own_device=session.device)
        self._known.setdefault((key, session.service), []).append(session)

    def all(self) -> list[Session]:
        """Return every session that is remembered."""
        return [session for sessions in self._known.values() for session in sessions]

    def fold(self, findings: Iterable[tuple[Finding, bool, bool]], now: datetime) -> Changes:
        """Fold findings, each with whether it proves a search and an upload, and say what changed.

        One alert a session at the most: a batch that holds query, handshake and request tells of the highest stage only.
        """
        changes = Changes()
        before: dict[str, Session | None] = {}
        keys: dict[str, Key] = {}
        for finding, search, upload in findings:
            key = (client_key(finding), finding.service)
            self._learn(finding)
            old, session = self._place(key, finding, search, upload, changes)
            before.setdefault(session.id, old)
            keys[session.id] = key
            changes.belongs[finding.id] = session.id
            changes.sessions[session.id] = session
        for finding_id, session_id in changes.belongs.items():
            changes.belongs[finding_id] = changes.merged.get(session_id, session_id)
        for session_id, session in changes.sessions.items():
            if session_id not in changes.merged:
                judged = changes.sessions[session_id] = self._judged(session)
                known = self._known[keys[session_id]]
                known[known.index(session)] = judged
                changes.alerts.extend(_raised(before.get(session_id), judged, now))
        return changes

    def know(self, directory: Directory, now: datetime) -> Changes:
        """Name people by *directory* from now on, and revise what it tells otherwise; see `revise`."""
        self._directory = directory
        return self.revise(now)

    def revise(self, now: datetime) -> Changes:
        """Judge the remembered sessions anew. A revision that names another person, or changes the verdict, is told."""
        changes = Changes()
        for sessions in self._known.values():
            for index, session in enumerate(sessions):
                judged = self._judged(session)
                if judged == session:
                    continue
                revised = (judged.user, judged.verdict) != (session.user, session.verdict)
                if revised:
                    judged = replace(judged, revision=session.revision + 1)
                sessions[index] = changes.sessions[judged.id] = judged
                if revised and _rings(judged) and not self._policy.excludes(judged.client):
                    changes.alerts.append(_alert("revised", judged, now, revised_text(judged, session)))
        return changes

    def close(self, watermark: datetime, now: datetime) -> Changes:
        """Close the sessions whose last finding lies more than the gap before *watermark*, an event time."""
        changes = Changes()
        for key, sessions in list(self._known.items()):
            for index, session in enumerate(sessions):
                if session.open and session.ended + self._gap < watermark:
                    closed = replace(session, open=False)
                    if session.service in self._services:  # rules may have changed since
                        closed = self._judged(closed)  # who had the address may be known better by now
                    sessions[index] = changes.sessions[closed.id] = closed
                    if _rings(closed) and not self._policy.excludes(closed.client):
                        changes.alerts.append(_alert("closed", closed, now, closed_text(closed)))
            if self._forget:
                kept = [session for session in sessions if session.open or session.ended + REMEMBERED > watermark]
                if kept:
                    self._known[key] = kept
                else:
                    del self._known[key]
        return changes

    def _place(
        self, key: Key, finding: Finding, search: bool, upload: bool, changes: Changes
    ) -> tuple[Session | None, Session]:
        sessions = self._known.setdefault(key, [])
        time = finding.observation.time
        near = [s for s in sessions if s.started - self._gap <= time <= s.ended + self._gap]
        near.sort(key=lambda s: s.started)
        first = near[0] if near else None
        base = first or self._opened(key, finding)
        for other in near[1:]:
            base = _joined(base, other)
            changes.merged[other.id] = base.id
        for gone, into in changes.merged.items():
            if into in changes.merged:
                changes.merged[gone] = changes.merged[into]
        secret = search and finding.indicator in self._services[finding.service].secret
        session = _with(base, finding, search, upload, secret=secret)
        taken = {s.id for s in near}
        self._known[key] = [s for s in sessions if s.id not in taken] + [session]
        return first, session

    def _opened(self, key: Key, finding: Finding) -> Session:
        seen, service = finding.observation, self._services[finding.service]
        return Session(
            id="se_" + digest(*key, finding.id),
            service=finding.service,
            service_name=service.name,
            category=service.category,
            client=seen.client,
            user=None,
            device=seen.device,
            own_device=seen.device,
            network=self._policy.network(seen.client),
            started=seen.time,
            ended=seen.time,
            stage=finding.stage,
            basis=finding.basis,
            severity=Severity.INFO,
            verdict=Verdict.UNSANCTIONED,
            reason="",
        )

    def _learn(self, finding: Finding) -> None:
        """Remember who answers others' queries or carries their requests: what comes from there later is nobody's own."""
        seen = finding.observation
        if seen.server is None or seen.server == seen.client:
            return
        logged = finding.origin.frame is None
        if seen.kind == "dns_answer" or (seen.kind == "dns_query" and logged):  # a query alone makes nobody a resolver
            self._serving[seen.server] = "a resolver"
        elif seen.kind == "proxy_connect" and not logged:  # a proxy's own log says where it connected to
            self._serving[seen.server] = "a proxy"

    def _judged(self, session: Session) -> Session:
        """Set what policy and the ladder say of a session as it now stands."""
        if self._directory:
            session = named(session, self._directory, self._serving.get(session.client or ""))
        said = self._policy.judge(use_of(session, self._directory))
        verdict = said.verdict
        # A service that the rules no longer have goes on as what it was when the session was folded.
        known = ServiceFacts(session.service_name, session.category, session.severity)
        service = self._services.get(session.service, known)
        severity = Severity.CRITICAL if session.secret_searches else service.severity
        severity = min(severity, CAPS.get(session.stage, Severity.CRITICAL))
        how = _how_known(session)
        if service.ended and session.started.date() > service.ended:
            severity = min(severity, Severity.LOW)
            how += f"; the service ended on {service.ended}, so that its names may be somebody else's by then"
        if verdict is not Verdict.UNSANCTIONED:
            severity = Severity.INFO
        return replace(session, verdict=verdict, severity=severity, reason=f"{said.reason}; {how}", exception=said.exception)


def _how_known(session: Session) -> str:
    said = _stage_known(session)
    if len(session.users) > 1:
        return f"{said}; {len(session.users)} users at this address, so it cannot be told whose it was"
    return said


def _stage_known(session: Session) -> str:
    if session.attempts and session.attempts == session.findings:
        return "every access was refused or failed, so nothing was reached"
    if session.stage is Stage.LOOKUP:
        return "only the name was looked up, as browsers also do for a link that nobody opened"
    if session.stage is Stage.CONTACT:
        return "a connection was made, as browsers also do ahead of a click; no request was seen"
    known = "a record says so" if session.basis is Basis.OBSERVED else "inferred from the host or from sizes"
    hidden = f"; {session.secret_searches} in a mode that leaves no history at the service" if session.secret_searches else ""
    return f"stage {session.stage.word}: {known}{hidden}"


def _with(session: Session, finding: Finding, search: bool, upload: bool, *, secret: bool) -> Session:
    seen = finding.observation
    stage, basis = max((session.stage, session.basis), (finding.stage, finding.basis), key=_rank)
    users = tuple(sorted({*session.users, seen.user} if seen.user else session.users))
    reopened = not session.open
    # A service that is polled for its result shows one search as many requests: together they prove one.
    proves_one = int(finding.stage is Stage.SEARCH and finding.basis is Basis.OBSERVED)
    return replace(
        session,
        user=_only(users),
        users=users,
        device=session.own_device or seen.device,
        own_device=session.own_device or seen.device,
        started=min(session.started, seen.time),
        ended=max(session.ended, seen.time),
        stage=stage,
        basis=basis,
        attempts=session.attempts + (not finding.reached),
        searches=max(session.searches + search, proves_one),
        secret_searches=session.secret_searches + secret,
        uploads=session.uploads + upload,
        findings=session.findings + 1,
        names=tuple(sorted({*session.names, finding.name})),
        bytes_up=_sum(session.bytes_up, seen.bytes_up),
        bytes_down=_sum(session.bytes_down, seen.bytes_down),
        open=True,
        revision=session.revision + reopened,
    )


def _joined(one: Session, other: Session) -> Session:
    stage, basis = max((one.stage, one.basis), (other.stage, other.basis), key=_rank)
    users = tuple(sorted({*one.users, *other.users}))
    return replace(
        one,
        user=_only(users),
        users=users,
        device=one.own_device or other.own_device,
        own_device=one.own_device or other.own_device,
        started=min(one.started, other.started),
        ended=max(one.ended, other.ended),
        stage=stage,
        basis=basis,
        attempts=one.attempts + other.attempts,
        searches=one.searches + other.searches,
        secret_searches=one.secret_searches + other.secret_searches,
        uploads=one.uploads + other.uploads,
        findings=one.findings + other.findings,
        names=tuple(sorted({*one.names, *other.names})),
        bytes_up=_sum(one.bytes_up, other.bytes_up),
        bytes_down=_sum(one.bytes_down, other.bytes_down),
        revision=max(one.revision, other.revision),
    )


def _only(users: tuple[str, ...]) -> str | None:
    """Return the user when there is just one. Several at one address: what was done is nobody's in particular."""
    return users[0] if len(users) == 1 else None


def _rank(known: tuple[Stage, Basis]) -> tuple[Stage, bool]:
    return known[0], known[1] is Basis.OBSERVED


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)


def _rings(session: Session) -> bool:
    """Return whether a session is told at all. It is kept either way.

    A sanctioned system is there to be used, by those to whom policy allows it.
    """
    return session.category != "sanctioned" or session.verdict is Verdict.UNSANCTIONED


def _raised(old: Session | None, session: Session, now: datetime) -> list[Alert]:
    if not _rings(session):
        return []
    if old is None or not _rings(old):
        return [_alert("opened", session, now, opened_text(session))]
    if session.stage > old.stage:
        return [_alert("escalated", session, now, escalated_text(session, old.stage))]
    if session.secret_searches and not old.secret_searches:
        return [_alert("escalated", session, now, hidden_text(session), "secret")]
    return []


def _alert(kind: str, session: Session, now: datetime, text: str, how: str = "") -> Alert:
    mark = {
        "opened": "",
        "escalated": how or session.stage.word,
        "closed": str(session.revision),
        "revised": str(session.revision),
    }[kind]
    return Alert(
        id="al_" + digest(session.id, kind, mark),
        kind=kind,  # type: ignore[arg-type]
        created=now,
        severity=session.severity,
        session=session,
        text=text,
    )
