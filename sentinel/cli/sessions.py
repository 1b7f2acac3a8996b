"""`sentinel sessions`: who did what."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from sentinel.activity.records import Session
from sentinel.activity.wording import defang, printable, who
from sentinel.cli import shared
from sentinel.cli.storage import open_store
from sentinel.investigate.result import session_document


@click.command()
@shared.maybe_config
@shared.store
@click.option("--service", help="Only this service.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def sessions(config: Path | None, store: Path | None, service: str | None, as_json: bool) -> None:
    """List the sessions, oldest first."""
    with open_store(config, store) as kept:
        found = [s for s in kept.sessions() if service in (None, s.service)]
        if as_json:
            for session in found:
                ids = [finding.id for finding in kept.findings(session=session.id)]
                click.echo(json.dumps(session_document(session, ids)))
            return
    show_table(found)


def show_table(found: list[Session]) -> None:
    """Print sessions as a table for people: names defanged, control characters made visible."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        "started (UTC)", "who", "service", "stage", "searches", "refused", "verdict", "names", title=f"{len(found)} sessions"
    )
    for s in sorted(found, key=lambda session: session.started):
        stage = s.stage.word if s.basis == "observed" else f"{s.stage.word} (inferred)"
        names = ", ".join(defang(printable(name)) for name in s.names[:3])
        cells = (
            f"{s.started:%Y-%m-%d %H:%M:%S}", who(s), s.service_name, stage, f"≥ {s.searches}" if s.searches else "-",
            str(s.attempts or "-"), s.verdict.value, names,
        )  # fmt: skip
        table.add_row(*map(escape, cells))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
