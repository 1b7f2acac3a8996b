"""`sentinel formats`: which logs are understood."""

from __future__ import annotations

import json

import click


@click.group()
def formats() -> None:
    """The log formats that are understood."""


@formats.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_formats(as_json: bool) -> None:
    """List each format with what it yields, what it was tested with, and its reference."""
    from sentinel.formats import FORMATS

    rows = [
        {"name": f.name, "title": f.title, "yields": list(f.yields), "tested_with": f.tested_with, "reference": f.reference}
        for _name, f in sorted(FORMATS.items())
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']:16} {row['title']}")
        click.echo(f"{'':16} yields {', '.join(row['yields'])}; tested with {row['tested_with']}; {row['reference']}")
