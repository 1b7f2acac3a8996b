"""`sentinel alerts`: what was sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.shared import MaybeConfig, moment
from sentinel.cli.storage import open_store
from sentinel.investigate.result import session_document, stamp

StorePath = Annotated[Path | None, typer.Option("--store", help="The store, when not the one that the settings file names.")]


def alerts(
    config: MaybeConfig = None,
    store: StorePath = None,
    since: Annotated[str | None, typer.Option(help="Only alerts made at or after this time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """List the alerts, oldest first."""
    with open_store(config, store) as kept:
        start = moment(since, None)
        for alert in kept.alerts():
            if start and alert.created < start:
                continue
            if as_json:
                session = session_document(alert.session, []) if alert.session else None
                row = {"id": alert.id, "kind": alert.kind, "created": stamp(alert.created), "severity": alert.severity.word}
                typer.echo(json.dumps({**row, "text": alert.text, "session": session}))
            else:
                typer.echo(f"{stamp(alert.created)}  {alert.severity.word:8} {alert.kind:10} {alert.text}")
