"""`sentinel demo`: the whole product in under a minute, with nothing to configure."""

from __future__ import annotations

from pathlib import Path

import click

from sentinel.cli.sessions import show_table


@click.command()
@click.option("--keep", is_flag=True, help="Leave the daemon running until Ctrl-C.")
@click.option(
    "--seconds", type=click.FloatRange(2, 300), default=20, show_default=True, help="How long the fictional hour takes."
)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where to leave store and report; left out, a new temporary folder."
)
def demo(keep: bool, seconds: float, folder: Path | None) -> None:
    """Play a fictional hour of a department through the real daemon, and show what it sees. No network, no root."""
    from sentinel.demo.play import play

    left = play(seconds=seconds, keep=keep, folder=folder, say=click.echo)
    click.echo("")
    show_table(left.sessions)
    click.echo(f"report: {left.report}")
    click.echo(f"store:  {left.store}   (sentinel sessions --store {left.store})")
    click.echo(f"alerts received by the webhook: {left.received}")
