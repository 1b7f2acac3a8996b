"""`sentinel rules export` and `import`: the signatures for other tools, and other people's lists as signatures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from sentinel.cli import shared
from sentinel.config.rules import load_rules
from sentinel.signatures import exports

CATEGORIES = ("face-search", "forensic-face-recognition", "reverse-image", "sanctioned", "visibility")


@click.command()
@click.argument("target", type=click.Choice(exports.names()))
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Write the files into this folder.")
@click.option(
    "--category", "categories", multiple=True, type=click.Choice(CATEGORIES), help="Export this category, and only those given."
)
@click.option("--date", "date", help="The time that serials and dates are made from, ISO 8601; left out, now.")
@shared.rules
def export(target: str, folder: Path | None, categories: tuple[str, ...], date: str | None, rules: tuple[Path, ...]) -> None:
    """Write the signatures for another tool.

    Services of the categories sanctioned and visibility are left out unless asked for. What the tool cannot say is left out,
    and told on standard error.
    """
    from sentinel.signatures.exports.target import DETECTED
    from sentinel.signatures.exports.target import export as exported

    made = shared.moment(date, "UTC") or datetime.now(UTC)
    chosen = exports.target(target)
    done = exported(chosen, load_rules(rules), made, categories or DETECTED)
    if folder:
        _write(done.files, folder)
    elif len(done.files) > 1:
        raise click.UsageError(f"{target} is {len(done.files)} files ({', '.join(done.files)}): name a folder with --to")
    else:
        click.echo(next(iter(done.files.values())), nl=False)
    for line in done.about.lines:
        click.echo(line, err=True)


def _write(files: Mapping[str, str], folder: Path) -> None:
    """Write each file beside its place and rename it: tools that watch the file never read half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        partial = folder / f".{name}.{os.getpid()}"
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder / name)
        click.echo(f"wrote {folder / name}", err=True)
