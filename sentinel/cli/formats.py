"""`sentinel formats`: which logs are understood, and what a mapping makes of one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sentinel.cli import shared


@click.group()
def formats() -> None:
    """The log formats that are understood."""


@formats.command("list")
@shared.mappings
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_formats(as_json: bool) -> None:
    """List each format with what it yields, since when it is tested with what, and its reference."""
    from sentinel.formats import FORMATS

    rows = [
        {
            "name": f.name,
            "title": f.title,
            "made_as": f.made_as,
            "yields": list(f.yields),
            "tested_with": f.tested_with,
            "since": f.since,
            "reference": f.reference,
        }
        for _name, f in sorted(FORMATS.items())
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']:26} {row['title']}")
        tested = f"tested with {row['tested_with']} since {row['since']}"
        click.echo(f"{'':26} {row['made_as']}; yields {', '.join(row['yields'])}; {tested}; {row['reference']}")


@formats.command("try")
@click.argument("mapping")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--lines", "most", type=click.IntRange(min=1), help="Show only so many lines; the last line counts all the same.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@shared.zone
def try_mapping(mapping: str, file: Path, most: int | None, as_json: bool, zone: str | None) -> None:
    """Show what a mapping makes of a log, line by line, and what it leaves.

    MAPPING is a mapping file, or the name of a format. Nothing is kept.
    """
    from sentinel.investigate.trying import Tried, tried

    name = _format(mapping)
    count = {"read": 0, "an access": 0, "no access": 0, "refused": 0}
    said: Tried | None = None
    for said in tried(str(file), name, zone):
        count["read"] += 1
        count["refused" if said.refused else "an access" if said.seen else "no access"] += 1
        if most is None or count["read"] <= most:
            click.echo(json.dumps(said.document()) if as_json else "\n".join(said.lines()))
    summary = f"{count['read']} records: {count['an access']} tell of an access, {count['no access']} of none, "
    click.echo(f"{summary}{count['refused']} could not be read by {name}", err=True)
    for sentence in said.assumptions if said else ():
        click.echo(sentence, err=True)


def _format(mapping: str) -> str:
    from sentinel.formats import FORMATS

    if mapping in FORMATS:
        return mapping
    if not Path(mapping).exists():
        raise click.BadParameter(f"{mapping!r} is neither a file nor the name of a format; see 'sentinel formats list'")
    from sentinel.formats.mapping import register
    from sentinel.formats.mapping.file import load_mapping

    spec = load_mapping(Path(mapping))
    register([spec], "command")
    return str(spec["name"])
