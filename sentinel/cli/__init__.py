"""The command line: one module per command group, each loaded only when it is asked for."""

from __future__ import annotations

import gc
import importlib
import sys

import click

from sentinel.cli.shared import EX_CONFIG
from sentinel.problems import Problems

COMMANDS = ("run", "check", "demo", "observe", "replay", "alerts", "sessions", "who", "exceptions", "rules", "formats", "sinks")
"""The commands in the order of `--help`; each is what its module in this folder has under its own name."""


class _Commands(click.Group):
    """Knows its commands by name, and imports the one that is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        gc.disable()  # nothing of what is loaded is garbage, and looking for it takes a tenth of the time
        command: click.Command = getattr(importlib.import_module(f"sentinel.cli.{cmd_name}"), cmd_name)
        gc.freeze()
        gc.enable()
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="sentinel-face-search", prog_name="sentinel", message="%(prog)s %(version)s")
def app() -> None:
    """Find unsanctioned use of commercial face-search services in DNS logs, proxy logs and packets."""


def main() -> None:
    """Run the command line; the exit status says how it went (0, 1, 2, 78; see `docs/commands.md`)."""
    from sentinel.store.step import UnusableStoreError

    try:
        app(prog_name="sentinel")
    except Problems as problems:
        for problem in problems.problems:
            click.echo(problem, err=True)
        count = len(problems.problems)
        click.echo(f"sentinel: {count} thing{'s' * (count != 1)} to mend; nothing was started", err=True)
        sys.exit(EX_CONFIG)
    except OSError as error:  # a full disk, a folder that may not be written: the machine's matter, and no bug of ours
        click.echo(f"sentinel: {error.filename or 'output'}: {error.strerror or error}", err=True)
        sys.exit(1)
    except UnusableStoreError as error:
        click.echo(f"sentinel: {error}", err=True)
        sys.exit(1)
