"""`sentinel replay`: an investigation over logs or captures that lie there already."""

from __future__ import annotations

import importlib.metadata
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sentinel.cli.sessions import show_table
from sentinel.cli.shared import FOUND, UNREAD, MaybeConfig, bar, expand, moment, size_of
from sentinel.config.rules import checked_rules, load_policy
from sentinel.extract import Ruling
from sentinel.formats import FORMATS
from sentinel.investigate.replay import Inquiry, replay
from sentinel.investigate.result import Result, as_csv, as_json
from sentinel.policy.policy import Policy
from sentinel.signatures.catalog import Catalog
from sentinel.store.nothing import NoStore

if TYPE_CHECKING:
    from sentinel.identity import Directory
    from sentinel.store.store import Store

app = typer.Typer(no_args_is_help=True, help="Investigate logs or captures that lie there already.")

Paths = Annotated[list[str], typer.Argument(help="Files, folders, archives or patterns; all of them are one investigation.")]
Rules = Annotated[list[Path] | None, typer.Option("--rules", help="A further folder of rules; may be given several times.")]
Identity = Annotated[list[Path] | None, typer.Option("--identity", help="Lease files or a CSV: who had which address when.")]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="Networks and sanctioned services.", exists=True)]
Since = Annotated[str | None, typer.Option(help="Only what happened at or after this time (ISO 8601).")]
Until = Annotated[str | None, typer.Option(help="Only what happened before this time (ISO 8601).")]
Zone = Annotated[str | None, typer.Option("--timezone", help="IANA zone of times that carry none; left out, the machine's.")]
Format = Annotated[str | None, typer.Option("--format", help="The logs' format, when it is not to be told from the records.")]
Case = Annotated[Path | None, typer.Option(help="Keep a store with the evidence in this folder.")]
Report = Annotated[Path | None, typer.Option(help="Write the report, one HTML page, to this file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print the sessions as CSV.")]
Thorough = Annotated[bool, typer.Option("--thorough", help="Parse every record, not only candidates and a sample.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many processes read inputs side by side.")]
Deliver = Annotated[bool, typer.Option("--deliver", help="Send the alerts to the configured sinks.")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit 3: unsanctioned use; 4: none seen, but not all was read.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options that both replays share."""

    config: Path | None
    rules: list[Path] | None
    identity: list[Path] | None
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
    format: str | None = None


@app.command()
def logs(
    paths: Paths,
    config: MaybeConfig = None,
    rules: Rules = None,
    identity: Identity = None,
    policy: PolicyFile = None,
    since: Since = None,
    until: Until = None,
    timezone: Zone = None,
    log_format: Format = None,
    case: Case = None,
    report: Report = None,
    as_json_: Json = False,
    as_csv_: Csv = False,
    thorough: Thorough = False,
    jobs: Jobs = 1,
    deliver: Deliver = False,
    exit_code: ExitCode = False,
) -> None:
    """Investigate logs: plain, gz, zst, xz, bz2, tar and zip, folders and patterns."""
    if log_format and log_format not in FORMATS:
        raise typer.BadParameter(f"no format is called {log_format!r}; see 'sentinel formats list'")
    asked = _Asked(
        config=config, rules=rules, identity=identity, policy=policy, since=since, until=until, zone=timezone, case=case,
        report=report, as_json=as_json_, as_csv=as_csv_, thorough=thorough, jobs=jobs, deliver=deliver, exit_code=exit_code,
        format=log_format,
    )  # fmt: skip
    _answer("logs", paths, asked)


@app.command()
def pcap(
    paths: Paths,
    config: MaybeConfig = None,
    rules: Rules = None,
    identity: Identity = None,
    policy: PolicyFile = None,
    since: Since = None,
    until: Until = None,
    timezone: Zone = None,
    case: Case = None,
    report: Report = None,
    as_json_: Json = False,
    as_csv_: Csv = False,
    thorough: Thorough = False,
    jobs: Jobs = 1,
    deliver: Deliver = False,
    exit_code: ExitCode = False,
) -> None:
    """Investigate captures: pcap and pcapng, compressed or not."""
    asked = _Asked(
        config=config, rules=rules, identity=identity, policy=policy, since=since, until=until, zone=timezone, case=case,
        report=report, as_json=as_json_, as_csv=as_csv_, thorough=thorough, jobs=jobs, deliver=deliver, exit_code=exit_code,
    )  # fmt: skip
    _answer("pcap", paths, asked)


def _answer(kind: Literal["logs", "pcap"], paths: list[str], asked: _Asked) -> None:
    found = expand(paths)
    loaded = _loaded(asked.config)
    settings = loaded.settings if loaded else None
    if asked.deliver and not (settings and settings.sinks):
        raise typer.BadParameter("--deliver needs a settings file with sinks; give it with --config")
    if asked.as_json and asked.as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    if asked.report and not asked.report.absolute().parent.is_dir():
        raise typer.BadParameter(f"--report: there is no folder {asked.report.absolute().parent}")
    zone = _zone(asked.zone or (settings.timezone if settings else None))
    since, until = moment(asked.since, zone), moment(asked.until, zone)
    if since and until and since >= until:
        raise typer.BadParameter("--since has to lie before --until")
    policy = load_policy(asked.policy) if asked.policy else (loaded.policy if loaded else Policy())
    catalog = loaded.catalog if loaded and not asked.rules else _rules(settings, asked.rules or [])
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
            format=asked.format,
            since=since,
            until=until,
            thorough=asked.thorough,
            jobs=asked.jobs,
            directory=_directory(asked.identity, zone),
            route=_route(settings if asked.deliver else None),
        )
        with bar(size_of(found)) as progress:
            result = replay(inquiry, progress)
        if asked.deliver and settings:
            _deliver(settings.sinks, store)
    finally:
        store.close()
    _show(result, asked, policy)


def _rules(settings: Any, folders: list[Path]) -> Catalog:
    if settings is None:
        return checked_rules(folders)
    return checked_rules([*settings.rules, *folders], builtin=settings.builtin_rules)


def _directory(paths: list[Path] | None, zone: str | None) -> Directory | None:
    if not paths:
        return None
    from sentinel.investigate.naming import directory_of

    return directory_of(paths, zone)


def _deliver(sinks: Any, store: Any) -> None:
    from sentinel.sinks.delivery import deliver_all

    left = deliver_all(sinks, store)
    if left:
        typer.echo(f"{left} alerts could not be delivered; with --case they wait in the case's store", err=True)


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


def _zone(name: str | None) -> str | None:
    if name is not None:
        try:
            zoneinfo.ZoneInfo(name)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            raise typer.BadParameter(
                f"no time zone is called {name!r}; write an IANA name such as America/Los_Angeles"
            ) from None
    return name


def _show(result: Result, asked: _Asked, policy: Policy) -> None:
    if asked.report:
        from sentinel.investigate.report import html

        version = importlib.metadata.version("sentinel-face-search")
        page = html(result, title="Use of face-search services", policy=policy, version=version, generated=datetime.now(UTC))
        asked.report.write_text(page, encoding="utf-8")
        typer.echo(f"report: {asked.report}", err=True)
    if asked.as_json:
        typer.echo(as_json(result))
    elif asked.as_csv:
        typer.echo(as_csv(result), nl=False)
    else:
        show_table(list(result.sessions))
        _say_coverage(result)
    if asked.exit_code:
        if result.unsanctioned:
            raise typer.Exit(FOUND)
        if not result.complete:
            raise typer.Exit(UNREAD)


def _say_coverage(result: Result) -> None:
    """Say what was read and what could not be: without it, "nothing found" means nothing."""
    read = sum(one.records for one in result.coverage)
    sampled = " (sampled; --thorough parses all)" if any(one.sampled for one in result.coverage) else ""
    typer.echo(f"{len(result.coverage)} inputs, {read} records read{sampled}")
    for one in result.coverage:
        for note in one.notes:
            typer.echo(f"  {one.path}: {note}")
        if one.unparsed:
            typer.echo(f"  {one.path}: {one.unparsed} records could not be parsed; the first: {one.examples[0]}")
    unreadable = {kind: count for one in result.coverage for kind, count in one.unreadable.items() if count}
    if unreadable:
        kinds = ", ".join(f"{kind} {sum(one.unreadable[kind] for one in result.coverage)}" for kind in sorted(unreadable))
        typer.echo(f"  could hide more: {kinds}")
