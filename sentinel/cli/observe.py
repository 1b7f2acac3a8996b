"""`sentinel observe`: everything that logs and captures show, as ECS documents."""

from __future__ import annotations

import json
import sys

import click

from sentinel.cli import shared


@click.command()
@click.argument("paths", nargs=-1, required=True)
@shared.log_format
@shared.zone
def observe(paths: tuple[str, ...], log_format: str | None, zone: str | None) -> None:
    """Print every observation in files or captures as ECS JSON lines, whether a rule matches it or not."""
    from sentinel.investigate.observing import observe_all
    from sentinel.schemas.observed import document

    write = sys.stdout.write
    for seen, origin in observe_all(
        shared.expand(paths), log_format=log_format, zone=zone, tell=lambda text: click.echo(text, err=True)
    ):
        write(json.dumps(document(seen, origin)) + "\n")
