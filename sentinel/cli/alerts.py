"""`sentinel alerts`: what was sent, and what each receiver said."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sentinel.cli import shared
from sentinel.cli.storage import open_store
from sentinel.investigate.result import session_document, stamp


@click.group(invoke_without_command=True)
@shared.maybe_config
@shared.store
@click.option("--since", help="Only alerts made at or after this time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def alerts(context: click.Context, config: Path | None, store: Path | None, since: str | None, as_json: bool) -> None:
    """List the alerts, oldest first."""
    if context.invoked_subcommand is not None:
        return
    with open_store(config, store) as kept:
        start = shared.moment(since, None)
        for alert in kept.alerts():
            if start and alert.created < start:
                continue
            if as_json:
                session = session_document(alert.session, []) if alert.session else None
                row = {"id": alert.id, "kind": alert.kind, "created": stamp(alert.created), "severity": alert.severity.word}
                click.echo(json.dumps({**row, "text": alert.text, "session": session}))
            else:
                click.echo(f"{stamp(alert.created)}  {alert.severity.word:8} {alert.kind:10} {alert.text}")


@alerts.command()
@shared.maybe_config
@shared.store
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("alert")
def show(config: Path | None, store: Path | None, as_json: bool, alert: str) -> None:
    """Show one alert and its receipts: which sink had it when, and what the receiver answered."""
    with open_store(config, store) as kept:
        found, receipts = kept.alert(alert), kept.receipts(alert)
        behind = kept.findings(session=found.session.id) if found and found.session else []
    rulesets = sorted({one.ruleset for one in behind})
    if found is None:
        raise click.BadParameter(f"no alert is called {alert!r}")
    rows = [
        {
            "sink": one.sink, "state": one.state, "attempts": one.attempts, "answer": one.answer,
            "delivered_at": stamp(one.delivered_at) if one.delivered_at else None,
            "next_at": stamp(one.next_at) if one.next_at else None,
        }
        for one in receipts
    ]  # fmt: skip
    if as_json:
        about = {"id": found.id, "kind": found.kind, "created": stamp(found.created), "severity": found.severity.word}
        session = session_document(found.session, []) if found.session else None
        click.echo(json.dumps({**about, "text": found.text, "session": session, "rulesets": rulesets, "receipts": rows}))
        return
    click.echo(f"{found.id}  {stamp(found.created)}  {found.severity.word}  {found.kind}\n{found.text}")
    for row in rows:
        when = row["delivered_at"] or (f"next at {row['next_at']}" if row["next_at"] else "")
        tries = f"{row['attempts']} attempt{'s' * (row['attempts'] != 1)}"
        click.echo("  ".join(str(part) for part in (f"{row['sink']}: {row['state']}", when, tries, row["answer"]) if part))
    if not rows:
        click.echo("no sink was to get it")
    for ruleset in rulesets:
        click.echo(f"found by the rule set {ruleset}")
