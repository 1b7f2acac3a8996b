"""`sentinel sinks`: whether alerts arrive."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sentinel.cli import shared


@click.group()
def sinks() -> None:
    """Where alerts go."""


@sinks.command()
@shared.config
@click.argument("name", required=False)
def test(config: Path, name: str | None) -> None:
    """Send a marked test alert through the real path to each sink, and print the receiver's answer; NAME: only to this one."""
    from sentinel.config.loading import load
    from sentinel.sinks.delivery import try_out
    from sentinel.sinks.outcome import Delivered

    settings = load(config).settings
    chosen = [sink for sink in settings.sinks if name in (None, sink.name)]
    if not chosen:
        raise click.BadParameter(f"no sink is called {name!r}" if name else "the configuration has no sinks")
    failed = 0
    for sink in chosen:
        outcome = try_out(sink)
        if isinstance(outcome, Delivered):
            click.echo(f"{sink.name}: delivered {outcome.answer}".rstrip())
        else:
            failed += 1
            click.echo(f"{sink.name}: not delivered: {outcome.reason}", err=True)
    if failed:
        sys.exit(1)
