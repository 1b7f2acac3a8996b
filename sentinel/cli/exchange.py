"""`sentinel rules export` and `import`: the signatures for other tools, and other people's lists as signatures."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sentinel.cli import shared
from sentinel.config.rules import load_rules
from sentinel.signatures import exports

if TYPE_CHECKING:
    from sentinel.signatures.imports.item import Refused

SHOWN = 8
"""Places that are named of each reason for which something is left out."""

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


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "imported"


@click.command("import")
@click.argument("form", metavar="stix|misp|list", type=click.Choice(["stix", "misp", "list"]))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder of rules to write into."
)
@click.option("--reference", required=True, help="Where the list comes from: an address (https://…) that a reader can open.")
@click.option("--id", "service", help="The service's id; left out, made from the file's name.")
@click.option("--name", help="The service's name; left out, the file's.")
@click.option("--category", type=click.Choice(CATEGORIES[:3]), default="face-search", show_default=True)
@click.option(
    "--severity", type=click.Choice(["info", "low", "medium", "high", "critical"]), default="medium", show_default=True
)
@shared.rules
def import_rules(
    form: str, file: Path, folder: Path, reference: str, service: str | None, name: str | None, category: str, severity: str,
    rules: tuple[Path, ...],
) -> None:  # fmt: skip
    """Make service files of other people's indicators: a STIX bundle, a MISP event, or a plain list.

    What cannot be taken over is told on standard error, with the reason. Indicators that Sentinel exported go back to the
    services that they came from.
    """
    import importlib

    from sentinel.signatures.imports.item import Described
    from sentinel.signatures.imports.writing import service_files

    default = Described(service or _slug(file.stem), name or file.stem, category, severity, references=(reference,))
    reader = importlib.import_module(f"sentinel.signatures.imports.{'plain' if form == 'list' else form}")
    try:
        written = service_files(reader.read(file.read_bytes()), default, load_rules(rules))
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{file}: {error}") from error
    _write(written.files, folder)
    for line in _told(written.refused):
        click.echo(line, err=True)
    done = f"{written.indicators} indicators in {len(written.files)} services; {len(written.refused)} left out"
    click.echo(done, err=True)
    if not written.files:
        sys.exit(1)


def _told(refused: Sequence[Refused]) -> Iterator[str]:
    """Yield what was left out: by its reason, the first places of each and how many there are."""
    places: dict[str, list[str]] = {}
    for one in refused:
        places.setdefault(one.why, []).append(one.where)
    for why, where in places.items():
        more = f" and {len(where) - SHOWN} more" if len(where) > SHOWN else ""
        yield f"left out: {', '.join(where[:SHOWN])}{more}: {why}"
