"""`sentinel observe`: everything that logs and captures show, as ECS documents."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from sentinel.cli.shared import expand


def observe(
    paths: Annotated[list[str], typer.Argument(help="Logs, captures, archives, folders, patterns; - is standard input.")],
    format_name: Annotated[str | None, typer.Option("--format", help="The logs' format, when it is not to be told.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA zone of times that carry none; left out, the machine's.")] = None,
) -> None:
    """Print every observation in files or captures as ECS JSON lines, whether a rule matches it or not."""
    from sentinel.investigate.observing import observe_all
    from sentinel.schemas.observed import document

    write = sys.stdout.write
    for seen, origin in observe_all(
        expand(paths), log_format=format_name, zone=timezone, tell=lambda text: typer.echo(text, err=True)
    ):
        write(json.dumps(document(seen, origin)) + "\n")
