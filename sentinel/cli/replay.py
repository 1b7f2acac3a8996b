"""`sentinel replay`: an investigation over logs or captures that lie there already."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from sentinel.cli import shared
from sentinel.cli.sessions import show_table
from sentinel.config.rules import RuleSources, checked_rules, load_policy, sources_of
from sentinel.extract import Ruling
from sentinel.formats.clock import zone_of
from sentinel.investigate.replay import Inquiry
from sentinel.investigate.replay import replay as read_all
from sentinel.investigate.result import Result, as_csv, write_json
from sentinel.packets.ports import DNS_PORTS
from sentinel.policy.policy import Policy
from sentinel.signatures.catalog import Catalog
from sentinel.store.nothing import NoStore

if TYPE_CHECKING:
    from sentinel.store.store import Store

file = click.Path(exists=True, path_type=Path)

OPTIONS = (
    click.argument("paths", nargs=-1, required=True),
    shared.maybe_config,
    shared.rules,
    shared.identity,
    click.option("--policy", type=file, help="A policy: what is allowed, to whom and when."),
    click.option("--since", help="Only what happened at or after this time (ISO 8601)."),
    click.option("--until", help="Only what happened before this time (ISO 8601)."),
    shared.zone,
    click.option("--case", type=click.Path(path_type=Path), help="Keep a store with the evidence in this folder."),
    click.option("--report", type=click.Path(path_type=Path), help="Write the report, one HTML page, to this file."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    click.option("--csv", "as_csv", is_flag=True, help="Print the sessions as CSV."),
    click.option("--thorough", is_flag=True, help="Parse every record, not only candidates and a sample."),
    click.option(
        "--jobs",
        "-j",
        type=click.IntRange(1),
        default=1,
        help="How many processes read.",
    ),
    click.option("--deliver", is_flag=True, help="Send the alerts to the configured sinks."),
    click.option("--exit-code", is_flag=True, help="Exit 3: unsanctioned use; 4: none seen, but not all was read."),
)
"""What both replays take. All of PATHS are one investigation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options that both replays share."""

    config: Path | None
    rules: tuple[Path, ...]
    identity: tuple[Path, ...]
    policy: Path | None
    since: str | None
    until: str | None
    zone: str | None
    case: Path | None
    report: Path | None
    as_json: bool
    as_csv: bool
    thorough: bool
    jobs: int
    deliver: bool
    exit_code: bool
    log_format: str | None = None


def _asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that both replays take."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.group()
def replay() -> None:
    """Investigate logs or captures that lie there already."""


@replay.command()
@_asking
@shared.log_format
@shared.mappings
def logs(paths: tuple[str, ...], **options: Any) -> None:
    """Investigate logs: plain, gz, zst, xz, bz2, tar and zip, folders and patterns."""
    _answer("logs", paths, _Asked(**options))


@replay.command()
@_asking
def pcap(paths: tuple[str, ...], **options: Any) -> None:
    """Investigate captures: pcap and pcapng, compressed or not."""
    _answer("pcap", paths, _Asked(**options))


def _answer(kind: Literal["logs", "pcap"], paths: Sequence[str], asked: _Asked) -> None:
    found = shared.expand(paths)
    loaded = _loaded(asked.config)
    settings = loaded.settings if loaded else None
    if asked.deliver and not (settings and settings.sinks):
        raise click.BadParameter("--deliver needs a settings file with sinks; give it with --config")
    if asked.as_json and asked.as_csv:
        raise click.BadParameter("--json and --csv exclude each other")
    if asked.report and not asked.report.absolute().parent.is_dir():
        raise click.BadParameter(f"--report: there is no folder {asked.report.absolute().parent}")
    zone = asked.zone or (settings.timezone if settings else None)
    since, until = shared.moment(asked.since, zone), shared.moment(asked.until, zone)
    if since and until and since >= until:
        raise click.BadParameter("--since has to lie before --until")
    catalog = loaded.catalog if loaded and not asked.rules else _rules(settings, asked.config, asked.rules)
    policy = load_policy(asked.policy, zone_of(zone), catalog) if asked.policy else (loaded.policy if loaded else Policy())
    store = _store(asked)
    try:
        inquiry = Inquiry(
            kind=kind,
            paths=found,
            ruling=Ruling.of(catalog, policy),
            store=store,
            case=asked.case is not None,
            gap=settings.gap if settings else None,
            zone=zone,
            format=asked.log_format,
            since=since,
            until=until,
            thorough=asked.thorough,
            jobs=asked.jobs,
            dns_ports=settings.dns_ports if settings else DNS_PORTS,
            directory=shared.directory(asked.identity, settings, asked.config, zone, policy),
            route=_route(settings if asked.deliver else None),
        )
        with shared.bar(shared.size_of(found)) as progress:
            result = read_all(inquiry, progress)
        if asked.deliver and settings:
            _deliver(settings.sinks, store)
    finally:
        store.close()
    _show(result, asked, policy)


def _rules(settings: Any, config: Path | None, folders: Sequence[Path]) -> Catalog:
    if config is None:
        return checked_rules(RuleSources(folders))
    return checked_rules(sources_of(settings, config.resolve().parent, folders))


def _deliver(sinks: Any, store: Any) -> None:
    from sentinel.sinks.delivery import deliver_all

    left = deliver_all(sinks, store)
    if left:
        click.echo(f"{left} alerts could not be delivered; with --case they wait in the case's store", err=True)


def _loaded(config: Path | None) -> Any:
    """Return the configuration. What it needs (sinks, database) is imported only where there is one: a replay starts fast."""
    if config is None:
        return None
    from sentinel.config.loading import load

    return load(config)


def _store(asked: _Asked) -> Store | NoStore:
    """Return where the inquiry is kept: in the case's folder, in memory when alerts are to be delivered, else nowhere."""
    if not asked.case and not asked.deliver:
        return NoStore()
    from sentinel.store.store import Store, url_of

    return Store.open(url_of(str(asked.case / "case.db"), Path.cwd())) if asked.case else Store.memory()


def _route(settings: Any) -> Any:
    if not settings:
        return lambda _alert: []
    from sentinel.sinks.delivery import accepts

    return lambda alert: [sink.name for sink in settings.sinks if accepts(sink, alert)]


def _show(result: Result, asked: _Asked, policy: Policy) -> None:
    if asked.report:
        import importlib.metadata

        from sentinel.investigate.report import html

        version = importlib.metadata.version("sentinel-face-search")
        page = html(result, title="Use of face-search services", policy=policy, version=version, generated=datetime.now(UTC))
        asked.report.write_text(page, encoding="utf-8")
        click.echo(f"report: {asked.report}", err=True)
    if asked.as_json:
        write_json(result, sys.stdout.write)
        sys.stdout.write("\n")
    elif asked.as_csv:
        click.echo(as_csv(result), nl=False)
    else:
        show_table(list(result.sessions))
        _say_coverage(result)
    if asked.exit_code:
        if result.unsanctioned:
            sys.exit(shared.FOUND)
        if not result.complete:
            sys.exit(shared.UNREAD)


def _say_coverage(result: Result) -> None:
    """Say what was read and what could not be: without it, "nothing found" means nothing."""
    read = sum(one.records for one in result.coverage)
    sampled = " (sampled; --thorough parses all)" if any(one.sampled for one in result.coverage) else ""
    click.echo(f"{len(result.coverage)} inputs, {read} records read{sampled}")
    fired = Counter(alert.severity.word for alert in result.judged.alerts) if result.judged else None
    if fired:
        click.echo("alerts under this policy: " + ", ".join(f"{count} {severity}" for severity, count in fired.items()))
    excluded = sum(one.excluded for one in result.coverage)
    if excluded:
        click.echo(f"{excluded} matched observations of addresses that policy excludes were dropped")
    for one in result.coverage:
        for note in one.notes:
            click.echo(f"  {one.path}: {note}")
        if one.unparsed:
            click.echo(f"  {one.path}: {one.unparsed} records could not be parsed; the first: {one.examples[0]}")
    unreadable = {kind: count for one in result.coverage for kind, count in one.unreadable.items() if count}
    if unreadable:
        kinds = ", ".join(f"{kind} {sum(one.unreadable[kind] for one in result.coverage)}" for kind in sorted(unreadable))
        click.echo(f"  could hide more: {kinds}")
