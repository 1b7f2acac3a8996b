"""The command line: one module per command group, put together here."""

from __future__ import annotations

import sys

import typer

from sentinel.cli import alerts, check, demo, formats, observe, replay, rules, run, sessions, sinks
from sentinel.cli.shared import EX_CONFIG, say_version
from sentinel.problems import Problems
from sentinel.store.step import UnusableStoreError

app = typer.Typer(
    name="sentinel",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a mistake of ours ends in a plain traceback that can be sent in
    rich_markup_mode=None,
    add_completion=True,
    help="Find unsanctioned use of commercial face-search services in DNS logs, proxy logs and packets.",
)
app.callback()(say_version)
app.command()(run.run)
app.command()(check.check)
app.command()(demo.demo)
app.command()(observe.observe)
app.add_typer(replay.app, name="replay")
app.command()(alerts.alerts)
app.command()(sessions.sessions)
app.add_typer(rules.app, name="rules")
app.add_typer(formats.app, name="formats")
app.add_typer(sinks.app, name="sinks")


def main() -> None:
    """Run the command line; the exit status says how it went (0, 1, 2, 78; see `docs/commands.md`)."""
    try:
        app()
    except Problems as problems:
        for problem in problems.problems:
            typer.echo(problem, err=True)
        count = len(problems.problems)
        typer.echo(f"sentinel: {count} thing{'s' * (count != 1)} to mend; nothing was started", err=True)
        sys.exit(EX_CONFIG)
    except BrokenPipeError:  # `sentinel observe … | head` has read enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a full disk, a folder that may not be written: the machine's matter, and no bug of ours
        typer.echo(f"sentinel: {error.filename or 'output'}: {error.strerror or error}", err=True)
        sys.exit(1)
    except UnusableStoreError as error:
        typer.echo(f"sentinel: {error}", err=True)
        sys.exit(1)
