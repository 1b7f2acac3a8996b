"""What the commands share: exit statuses, options, progress, and how times are read."""

from __future__ import annotations

import glob
import importlib.metadata
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

EX_CONFIG = 78
"""sysexits.h EX_CONFIG; the systemd unit's RestartPreventExitStatus, since trying again mends no configuration."""

FOUND = 3
UNREAD = 4

Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", exists=True, dir_okay=False)]
MaybeConfig = Annotated[Path | None, typer.Option("--config", "-c", help="The settings file.", exists=True, dir_okay=False)]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"sentinel {importlib.metadata.version('sentinel-face-search')}")
        raise typer.Exit


def say_version(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Find unsanctioned use of commercial face-search services in DNS logs, proxy logs and packets."""
    del version  # answered by its callback, before a command is asked for


def expand(paths: Sequence[str]) -> list[str]:
    """Return the paths with globs resolved, in their order; "-" is standard input.

    Raises:
        typer.BadParameter: One of them is not there.
    """
    found: list[str] = []
    for path in paths:
        here = [path] if path == "-" or Path(path).exists() else sorted(glob.glob(path, recursive=True))
        if not here:
            raise typer.BadParameter(f"{path}: no such file or folder, and nothing matches it as a pattern")
        found += here
    return found


def moment(text: str | None, zone: str | None) -> datetime | None:
    """Return an ISO 8601 date or time in UTC; without an offset it is in *zone* (the machine's when None).

    Raises:
        typer.BadParameter: It is no such date.
    """
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date; write 2026-03-01 or 2026-03-01T14:00+01:00") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=ZoneInfo(zone)) if zone else time.astimezone()
    return time.astimezone(UTC)


class Bar:
    """A progress bar on a terminal: bytes, rate, hits, time left. Elsewhere nothing is written."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        """Begin at nothing of *total* bytes."""
        self._progress = progress
        self._task = progress.add_task("reading", total=total or None, hits=0, path="") if progress else None

    def __call__(self, path: str, read: int, hits: int) -> None:
        """Say that *read* more bytes of *path* were read, with *hits* findings so far."""
        if self._progress and self._task is not None:
            self._progress.update(self._task, advance=read, hits=hits, path=path[-40:])


@contextmanager
def bar(total: int) -> Iterator[Bar]:
    """Show a progress bar on standard error while the block runs, if that is a terminal."""
    if not sys.stderr.isatty():
        yield Bar(None, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.fields[path]}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TextColumn("{task.fields[hits]} hits"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar(progress, total)


def size_of(paths: Sequence[str]) -> int:
    """Return the bytes that files and folders hold on disk, as far as they can be seen."""
    total = 0
    for path in paths:
        for file in Path(path).rglob("*") if Path(path).is_dir() else [Path(path)]:
            try:
                total += file.stat().st_size
            except OSError:
                continue
    return total
