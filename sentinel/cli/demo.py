"""`sentinel demo`: the whole product in under a minute, with nothing to configure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.sessions import show_table


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the daemon running until Ctrl-C.")] = False,
    seconds: Annotated[float, typer.Option(min=2, max=300, help="How long the fictional hour takes.")] = 20,
    folder: Annotated[
        Path | None, typer.Option(help="Where to leave store and report; left out, a new temporary folder.")
    ] = None,
) -> None:
    """Play a fictional hour of a department through the real daemon, and show what it sees. No network, no root."""
    from sentinel.demo.play import play

    left = play(seconds=seconds, keep=keep, folder=folder, say=typer.echo)
    typer.echo("")
    show_table(left.sessions)
    typer.echo(f"report: {left.report}")
    typer.echo(f"store:  {left.store}   (sentinel sessions --store {left.store})")
    typer.echo(f"alerts received by the webhook: {left.received}")
