"""`sentinel exceptions`: what each exception of the policy was used for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from sentinel.cli import shared


@click.command()
@shared.config
@shared.store
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def exceptions(config: Path, store: Path | None, as_json: bool) -> None:
    """Tell of each exception of the policy what it was used for, also before it ends, and what came after its end."""
    from sentinel.activity.exceptions import usage, usage_text
    from sentinel.cli.storage import open_store
    from sentinel.config.loading import load
    from sentinel.investigate.result import usage_document

    loaded = load(config)
    directory = shared.directory((), loaded.settings, config, None, loaded.policy)
    now = datetime.now(UTC)
    with open_store(config, store) as kept:
        found = usage(loaded.policy, kept.sessions(), directory)
    for used in found:
        if as_json:
            click.echo(json.dumps(usage_document(used)))
        else:
            during = used.exception.during
            state = "ended" if during.late(now) else "not yet begun" if during.early(now) else "in force"
            click.echo(f"{state}: {usage_text(used)}")
    if not found:
        click.echo("the policy has no exceptions", err=True)
