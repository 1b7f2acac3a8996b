"""`sentinel sinks`: whether alerts arrive."""

from __future__ import annotations

from typing import Annotated

import typer

from sentinel.cli.shared import Config

app = typer.Typer(no_args_is_help=True, help="Where alerts go.")


@app.callback()
def sinks() -> None:
    """Where alerts go."""


@app.command()
def test(config: Config, name: Annotated[str | None, typer.Argument(help="Only this sink.")] = None) -> None:
    """Send a marked test alert through the real path to each sink, and print the receiver's answer."""
    from sentinel.config.loading import load
    from sentinel.sinks.delivery import try_out
    from sentinel.sinks.outcome import Delivered

    settings = load(config).settings
    chosen = [sink for sink in settings.sinks if name in (None, sink.name)]
    if not chosen:
        raise typer.BadParameter(f"no sink is called {name!r}" if name else "the configuration has no sinks")
    failed = 0
    for sink in chosen:
        outcome = try_out(sink)
        if isinstance(outcome, Delivered):
            typer.echo(f"{sink.name}: delivered {outcome.answer}".rstrip())
        else:
            failed += 1
            typer.echo(f"{sink.name}: not delivered: {outcome.reason}", err=True)
    if failed:
        raise typer.Exit(1)
