"""`sentinel check`: every mistake at once, before anything starts."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from sentinel.cli import shared
from sentinel.problems import Problem, Problems


@click.command()
@shared.config
@click.option("--connect", is_flag=True, help="Also try whether each sink can be reached.")
def check(config: Path, connect: bool) -> None:
    """Try configuration, rules, sources and sinks; start nothing, change nothing. Exit status 78 when something is wrong."""
    from sentinel.config.checking import problems_in, refused_by_sinks
    from sentinel.config.literals import literal_secrets
    from sentinel.config.loading import load
    from sentinel.config.rules import overdue, sources_of

    problems = problems_in(config)
    problems += _identity_problems(config) if not problems else []
    if connect:
        problems += refused_by_sinks(config)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        click.echo(f"sentinel: {len(problems)} thing{'s' * (len(problems) != 1)} to mend", err=True)
        sys.exit(shared.EX_CONFIG)
    settings = load(config).settings
    sources = sources_of(settings, config.resolve().parent)
    for warning in [*literal_secrets(settings, config), *overdue(sources, datetime.now(UTC))]:
        click.echo(f"warning: {warning}", err=True)
    click.echo("configuration, rules, sources and sinks are in order")


def _identity_problems(config: Path) -> list[Problem]:
    """Return what is wrong with the identity sources of a configuration that is right otherwise."""
    from sentinel.config.loading import load

    loaded = load(config)
    try:
        shared.directory((), loaded.settings, config, None, loaded.policy)
    except Problems as problems:
        return problems.problems
    return []
