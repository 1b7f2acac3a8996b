"""Takes one batch through the whole pipeline, and is the only place that knows the order.

    extract findings -> fold into sessions -> raise alerts -> commit all of it with the source's position

The daemon, `replay logs` and `replay pcap` all run this, so that the same input gives the same sessions whichever way it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sentinel.activity.exceptions import ended_alert, ended_id, usage
from sentinel.activity.records import Alert, Finding
from sentinel.activity.sessions import GAP, Changes, Sessions, session_key
from sentinel.coverage import Coverage
from sentinel.extract import Extractor, Matched, Ruling
from sentinel.packets.seen import Seen
from sentinel.sources.batch import Batch
from sentinel.sources.burst import Burst
from sentinel.store.step import Keeper, Step

if TYPE_CHECKING:
    from sentinel.identity.directory import Directory

Route = Callable[[Alert], Sequence[str]]
"""Which sinks an alert goes to."""


@dataclass(slots=True)
class Taken:
    """What one batch came to. `merged` maps the id of a session that is no more to the one that took it over."""

    findings: list[Finding] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    belongs: dict[str, str] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)


class Engine:
    """The extractor, the open sessions and the store, brought together."""

    def __init__(
        self,
        extractor: Extractor,
        store: Keeper,
        *,
        route: Route = lambda _alert: (),
        gap: timedelta = GAP,
        keep_sessions: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        directory: Directory | None = None,
    ) -> None:
        """Take up the sessions that *store* holds.

        Args:
            extractor: Turns batches into findings.
            store: Where everything is committed.
            route: Which sinks an alert goes to.
            gap: How long a session may pause.
            keep_sessions: Never forget a closed session: a replay reads its inputs in any order.
            now: The wall clock.
            directory: Who had which address.
        """
        self.extractor = extractor
        self._store = store
        self._route = route
        self._now = now
        self._rules_kept: str | None = None  # the digest of the rule set that the store has
        self._gap = gap
        self._directory = directory
        self._ended: set[str] = set()  # exceptions whose end was told
        self.sessions = Sessions(
            extractor.ruling.facts, extractor.ruling.policy, gap=gap, forget=not keep_sessions, directory=directory
        )
        ever = datetime.min.replace(tzinfo=UTC)
        for session in store.recent_sessions(ever if keep_sessions else None):
            self.sessions.restore(session_key(session), session)

    def use(self, ruling: Ruling) -> None:
        """Judge from the next batch on by other rules and another policy. What was found keeps the rules that found it."""
        self.extractor.ruling = ruling
        self.sessions.use(ruling.facts, ruling.policy)

    def know(self, directory: Directory) -> Taken:
        """Name people by *directory* from now on; revise the remembered sessions that it tells otherwise, and commit that."""
        self._directory = directory
        return self._revised(self.sessions.know(directory, self._now()))

    def revise(self) -> Taken:
        """Judge what the store held already by the policy and identity of today's inquiry, and commit what that changes."""
        return self._revised(self.sessions.revise(self._now()))

    def _revised(self, changes: Changes) -> Taken:
        if changes.sessions:
            self._write([], changes, {}, [])
        return Taken(alerts=changes.alerts)

    def take(self, batch: Batch) -> Taken:
        """Take one batch of log records through everything, and commit what it yields with its position."""
        matched, position = self.extractor.take(batch)
        return self.commit(matched, self.extractor.coverage_of(batch.input), {batch.input.key: position})

    def take_burst(self, account: Coverage, burst: Burst) -> Taken:
        """Take what came in at a listener in the same way, all of it in one commit; then tell those who wait for it.

        *account* is the listener's own.
        """
        matched: list[Matched] = []
        accounts = {burst.key: account}
        positions: dict[str, Any] = {burst.key: {"source": dict(burst.position)}}
        burst.add_to(account)
        for batch in burst.batches:
            found, position = self.extractor.take(batch)
            matched += found
            accounts[batch.input.key] = self.extractor.coverage_of(batch.input)
            positions[batch.input.key] = position
        taken = self._committed(matched, list(accounts.values()), positions)
        burst.committed()
        return taken

    def take_packets(self, coverage: Coverage, seen: Iterable[Seen], positions: Mapping[str, Any]) -> Taken:
        """Take what was seen in packets through the same matching, folding and commit."""
        return self.commit(self.extractor.take_packets(coverage, seen, self._now()), coverage, positions)

    def commit(self, matched: Sequence[Matched], coverage: Coverage, positions: Mapping[str, Any]) -> Taken:
        """Fold findings into sessions and commit them, the alerts and the positions in one transaction."""
        return self._committed(matched, [coverage], positions)

    def _committed(self, matched: Sequence[Matched], coverage: Sequence[Coverage], positions: Mapping[str, Any]) -> Taken:
        fresh = self._unknown(matched)
        changes = self.sessions.fold([(one.finding, one.search, one.upload) for one in fresh], self._now())
        findings = [one.finding for one in fresh]
        self._write(findings, changes, positions, coverage)
        return Taken(findings, changes.alerts, changes.belongs, changes.merged)

    def close(self, watermark: datetime) -> Taken:
        """Close the sessions that event time has left behind, and commit that."""
        changes = self.sessions.close(watermark, self._now())
        if changes.sessions:
            self._write([], changes, {}, [])
        return Taken(alerts=changes.alerts)

    def expire(self, watermark: datetime) -> Taken:
        """Tell of the exceptions that event time has left behind what they were used for, each once; commit that."""
        policy = self.extractor.ruling.policy
        ended = [
            one
            for one in policy.exceptions
            if one.key not in self._ended and one.during.until and one.during.until + self._gap <= watermark
        ]
        self._ended.update(one.key for one in ended)
        told = {ended_id(one): one for one in ended if self._store.alert(ended_id(one)) is None}
        if not told:
            return Taken()
        since = min((one.during.since for one in told.values() if one.during.since), default=None)
        sessions = self._store.recent_sessions(since or datetime.min.replace(tzinfo=UTC))
        keys = {one.key for one in told.values()}
        alerts = [
            ended_alert(used, self._now()) for used in usage(policy, sessions, self._directory) if used.exception.key in keys
        ]
        self._store.commit(Step(alerts=alerts, sinks={alert.id: list(self._route(alert)) for alert in alerts}))
        return Taken(alerts=alerts)

    def _unknown(self, matched: Sequence[Matched]) -> list[Matched]:
        """Return the findings that the store has not: the copy of a log that was read already must not count twice."""
        first = {one.finding.id: one for one in matched}
        known = self._store.known(list(first)) if first else set()
        return [one for one in first.values() if one.finding.id not in known]

    def _write(
        self, findings: Sequence[Finding], changes: Changes, positions: Mapping[str, Any], coverage: Sequence[Coverage]
    ) -> None:
        catalog = self.extractor.ruling.catalog
        keep_rules = bool(findings) and self._rules_kept != catalog.digest
        self._store.commit(
            Step(
                findings=[(finding, changes.belongs[finding.id]) for finding in findings],
                sessions=[session for session in changes.sessions.values() if session.id not in changes.merged],
                alerts=changes.alerts,
                sinks={alert.id: list(self._route(alert)) for alert in changes.alerts},
                positions=positions,
                coverage=coverage,
                ruleset=(catalog.digest, catalog.canonical) if keep_rules else None,
                merged=changes.merged,
            )
        )
        if keep_rules:
            self._rules_kept = catalog.digest
