"""`sentinel formats`: which logs are understood."""

from __future__ import annotations

import json
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The log formats that are understood.")


@app.callback()
def formats() -> None:
    """The log formats that are understood."""


@app.command("list")
def list_formats(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List each format with what it yields, what it was tested with, and its reference."""
    from sentinel.formats import FORMATS

    rows = [
        {"name": f.name, "title": f.title, "yields": list(f.yields), "tested_with": f.tested_with, "reference": f.reference}
        for _name, f in sorted(FORMATS.items())
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['name']:16} {row['title']}")
        typer.echo(f"{'':16} yields {', '.join(row['yields'])}; tested with {row['tested_with']}; {row['reference']}")
