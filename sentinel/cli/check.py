"""`sentinel check`: every mistake at once, before anything starts."""

from __future__ import annotations

from typing import Annotated

import typer

from sentinel.cli.shared import EX_CONFIG, Config


def check(
    config: Config,
    connect: Annotated[bool, typer.Option("--connect", help="Also try whether each sink can be reached.")] = False,
) -> None:
    """Try configuration, rules, sources and sinks; start nothing, change nothing. Exit status 78 when something is wrong."""
    from sentinel.config.checking import problems_in, refused_by_sinks

    problems = problems_in(config)
    if connect and not problems:
        problems = refused_by_sinks(config)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        typer.echo(f"sentinel: {len(problems)} thing{'s' * (len(problems) != 1)} to mend", err=True)
        raise typer.Exit(EX_CONFIG)
    typer.echo("configuration, rules, sources and sinks are in order")
