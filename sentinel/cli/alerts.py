"""`sentinel alerts`: what was sent."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sentinel.cli import shared
from sentinel.cli.storage import open_store
from sentinel.investigate.result import session_document, stamp


@click.command()
@shared.maybe_config
@shared.store
@click.option("--since", help="Only alerts made at or after this time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def alerts(config: Path | None, store: Path | None, since: str | None, as_json: bool) -> None:
    """List the alerts, oldest first."""
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
