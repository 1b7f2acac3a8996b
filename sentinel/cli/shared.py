"""What the commands share: exit statuses, options, progress, and how times are read."""

from __future__ import annotations

import functools
import glob
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

if TYPE_CHECKING:
    from rich.progress import Progress

    from sentinel.identity import Directory
    from sentinel.policy.policy import Policy

EX_CONFIG = 78
"""sysexits.h EX_CONFIG; the systemd unit's RestartPreventExitStatus, since trying again mends no configuration."""

FOUND = 3
UNREAD = 4

config = click.option(
    "--config", "-c", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The settings file."
)
maybe_config = click.option(
    "--config", "-c", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The settings file."
)
store = click.option(
    "--store", type=click.Path(path_type=Path), help="The store, when not the one that the settings file names."
)
rules = click.option(
    "--rules", multiple=True, type=click.Path(path_type=Path), help="A further folder of rules; may be given several times."
)


def _known_zone(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    if not name:
        return None
    from sentinel.formats.clock import zone_of

    try:
        zone_of(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return name


zone = click.option(
    "--timezone", "zone", callback=_known_zone, help="IANA zone of times that carry none; left out, the machine's."
)


def log_format(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--format` and `--logformat`, which it gets as one name of a format, `log_format`."""

    @functools.wraps(command)
    def asked(*args: Any, log_format: str | None, logformat: str | None, **options: Any) -> Any:
        return command(*args, log_format=_known_format(log_format, logformat), **options)

    option = click.option("--format", "log_format", help="The logs' format, when it is not to be told from the records.")
    return option(
        click.option("--logformat", help="The logs are Squid's, by this `logformat`: what stands behind its name.")(asked)
    )


def _known_format(name: str | None, logformat: str | None) -> str | None:
    from sentinel.formats import named

    if logformat is not None:
        if name not in (None, "squid"):
            raise click.BadParameter(f"--logformat is Squid's: --format {name} says something else")
        name = f"squid:{logformat}"
    try:
        known = named(name) if name else True
    except ValueError as error:
        raise click.BadParameter(f"the format {name!r}: {error}") from error
    if not known:
        raise click.BadParameter(f"no format is called {name!r}; see 'sentinel formats list'")
    return name


def _mappings(_context: click.Context, _option: click.Parameter, paths: tuple[Path, ...]) -> None:
    if paths:
        from sentinel.formats import mapping
        from sentinel.formats.mapping.file import load_mappings

        mapping.register(load_mappings(paths), "command")


mappings = click.option(
    "--mapping",
    multiple=True,
    is_eager=True,  # --format may name it
    expose_value=False,
    callback=_mappings,
    type=click.Path(path_type=Path),
    help="A mapping file, or a folder of them: formats of your own; may be given several times.",
)


identity = click.option(
    "--identity",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Leases, logs, a CSV or a directory export, or a folder of them: who had which address when.",
)


def directory(paths: Sequence[Path], settings: Any, config: Path | None, zone: str | None, policy: Policy) -> Directory | None:
    """Return who had which address according to *paths* and to the sources of the settings; None when there are none.

    Raises:
        Problems: A file cannot be read, or holds no identity records of a known kind.
    """
    named = settings.identity if settings else ()
    if not paths and not named:
        return None
    from sentinel.investigate.naming import IdentityFiles, directory_of, sources_of

    return directory_of([*sources_of(settings, config), *(IdentityFiles(path, zone) for path in paths)], policy)


def ruled(config: Path | None, policy: Path | None, zone: str | None) -> tuple[Any, Policy]:
    """Return the settings, None without *config*, and the policy: that of the file *policy*, else the settings' own.

    Raises:
        Problems: A mistake in them.
    """
    from sentinel.policy.policy import Policy

    settings, found, catalog = None, Policy(), None
    if config is not None:
        from sentinel.config.loading import load

        loaded = load(config)
        settings, found, catalog = loaded.settings, loaded.policy, loaded.catalog
    if policy is not None:
        from sentinel.config.rules import RuleSources, checked_rules, load_policy
        from sentinel.formats.clock import zone_of

        zone = zone or (settings.timezone if settings else None)
        found = load_policy(policy, zone_of(zone), catalog or checked_rules(RuleSources()))
    return settings, found


def expand(paths: Sequence[str]) -> list[str]:
    """Return the paths with globs resolved, in their order; "-" is standard input. URLs stay as they are.

    Raises:
        click.BadParameter: One of them is not there.
    """
    from sentinel.sources.places import is_remote

    found: list[str] = []
    for path in paths:
        here = [path] if path == "-" or is_remote(path) or Path(path).exists() else sorted(glob.glob(path, recursive=True))
        if not here:
            raise click.BadParameter(f"{path}: no such file or folder, and nothing matches it as a pattern")
        found += here
    return found


def moment(text: str | None, zone: str | None) -> datetime | None:
    """Return an ISO 8601 date or time in UTC; without an offset it is in *zone* (the machine's when None).

    Raises:
        click.BadParameter: It is no such date.
    """
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no date; write 2026-03-01 or 2026-03-01T14:00+01:00") from None
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
