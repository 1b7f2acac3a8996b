"""Writes one step's parts. All of it is idempotent, and runs inside the one transaction that `Store.commit` holds."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, bindparam, delete, insert, select, update

from sentinel.activity.records import Alert, Finding, Session
from sentinel.store import schema
from sentinel.store.chain import Head, chain_hash
from sentinel.store.codec import dumps, stamp
from sentinel.store.outbox import entry

LARGE = 1 << 20
"""Characters from which on a rule set is kept compressed: a feed of a million names has 25 million, and changes daily."""

PRESSED = "zlib "
"""What a compressed rule set begins with; the text itself is JSON, and never begins so."""

AT_MOST = 500
"""Values in one IN list: databases bound the number of parameters of a statement."""


# Built once: these run for every batch, and building a statement costs more than running it.
_THIS_POSITION = schema.positions.c.key == bindparam("b_key")
_CHANGED_POSITION = update(schema.positions).where(_THIS_POSITION)
_NO_POSITION = delete(schema.positions).where(_THIS_POSITION)


def among(connection: Connection, column: Column[Any], values: Sequence[str]) -> set[str]:
    """Return which of *values* the column holds."""
    found: set[str] = set()
    for start in range(0, len(values), AT_MOST):
        found.update(connection.scalars(select(column).where(column.in_(values[start : start + AT_MOST]))))
    return found


def head_of(connection: Connection) -> Head:
    """Return the chain's end as the last commit left it."""
    kept = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.name == "head"))
    return Head(*json.loads(kept)) if kept else Head()


def write_findings(connection: Connection, findings: Sequence[tuple[Finding, str]]) -> None:
    """Append the findings that are new to the chain, each with its session."""
    first = {finding.id: (finding, session) for finding, session in reversed(findings)}
    known = among(connection, schema.findings.c.id, list(first))
    fresh = [first[finding.id] for finding, _session in findings if finding.id not in known]
    fresh = list({finding.id: (finding, session) for finding, session in fresh}.values())
    if not fresh:
        return
    head = head_of(connection)
    rows = []
    for finding, _session in fresh:
        row = _finding_row(finding, head)
        rows.append(row)
        head = Head(row["seq"], row["hash"])
    connection.execute(insert(schema.findings), rows)
    connection.execute(insert(schema.memberships), [{"finding": finding.id, "session": session} for finding, session in fresh])
    connection.execute(delete(schema.meta).where(schema.meta.c.name == "head"))
    connection.execute(insert(schema.meta), {"name": "head", "value": json.dumps([head.seq, head.hash])})


def _finding_row(finding: Finding, before: Head) -> dict[str, Any]:
    row: dict[str, Any] = {
        "seq": before.seq + 1,
        "id": finding.id,
        "service": finding.service,
        "time": stamp(finding.observation.time),
        "origin": dumps(finding.origin),
        "sha256": finding.sha256,
        "body": dumps(finding),
        "raw": finding.raw,
        "previous": before.hash,
    }
    return row | {"hash": chain_hash(row)}


def write_sessions(connection: Connection, sessions: Sequence[Session]) -> None:
    """Insert sessions, or replace what is kept of them; an older revision replaces nothing."""
    rows = {session.id: _session_row(session) for session in sessions}
    known = among(connection, schema.sessions.c.id, list(rows))
    fresh = [row for key, row in rows.items() if key not in known]
    if fresh:
        connection.execute(insert(schema.sessions), fresh)
    if known:
        table = schema.sessions
        changed = update(table).where(table.c.id == bindparam("b_id"), table.c.revision <= bindparam("b_revision"))
        connection.execute(changed, [{**rows[key], "b_id": key, "b_revision": rows[key]["revision"]} for key in known])


def _session_row(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "revision": session.revision,
        "service": session.service,
        "open": session.open,
        "started": stamp(session.started),
        "ended": stamp(session.ended),
        "body": dumps(session),
    }


def merge_sessions(connection: Connection, merged: Mapping[str, str]) -> None:
    """Hand the findings and alerts of sessions that are no more to those that took them over."""
    for column in (schema.memberships.c.session, schema.alerts.c.session, schema.outbox.c.lane):
        statement = update(column.table).where(column == bindparam("b_gone")).values({column.name: bindparam("b_into")})
        connection.execute(statement, [{"b_gone": gone, "b_into": into} for gone, into in merged.items()])
    connection.execute(
        delete(schema.sessions).where(schema.sessions.c.id == bindparam("b_gone")), [{"b_gone": gone} for gone in merged]
    )


def write_alerts(connection: Connection, alerts: Sequence[Alert], sinks: Mapping[str, Sequence[str]]) -> None:
    """Keep the alerts that are new, and queue them for their sinks."""
    known = among(connection, schema.alerts.c.id, [alert.id for alert in alerts])
    fresh = {alert.id: alert for alert in alerts if alert.id not in known}
    if not fresh:
        return
    last = connection.scalar(select(schema.alerts.c.seq).order_by(schema.alerts.c.seq.desc()).limit(1)) or 0
    numbered = list(enumerate(fresh.values(), last + 1))
    connection.execute(insert(schema.alerts), [_alert_row(alert, seq) for seq, alert in numbered])
    entries = [entry(alert, seq, sink) for seq, alert in numbered for sink in dict.fromkeys(sinks.get(alert.id, ()))]
    if entries:
        connection.execute(insert(schema.outbox), entries)


def _alert_row(alert: Alert, seq: int) -> dict[str, Any]:
    session = alert.session.id if alert.session else None
    return {"seq": seq, "id": alert.id, "session": session, "created": stamp(alert.created), "body": dumps(alert)}


def write_positions(connection: Connection, positions: Mapping[str, Any], forget: Iterable[str]) -> None:
    """Keep how far sources have come, and drop those that nobody will ask for again."""
    for key, position in positions.items():
        row = {"body": json.dumps(position, sort_keys=True)}
        if connection.execute(_CHANGED_POSITION, {"b_key": key, **row}).rowcount == 0:
            connection.execute(insert(schema.positions), {"key": key, **row})
    for key in forget:
        connection.execute(_NO_POSITION, {"b_key": key})


def write_ruleset(connection: Connection, digest: str, text: str, now: datetime) -> None:
    """Keep a rule set's text, once."""
    if not among(connection, schema.rulesets.c.digest, [digest]):
        body = text if len(text) < LARGE else PRESSED + base64.b64encode(zlib.compress(text.encode(), 1)).decode("ascii")
        connection.execute(insert(schema.rulesets), {"digest": digest, "body": body, "first_used": stamp(now)})


def ruleset_text(body: str) -> str:
    """Return a rule set's text from what `write_ruleset` kept."""
    return zlib.decompress(base64.b64decode(body.removeprefix(PRESSED))).decode() if body.startswith(PRESSED) else body
