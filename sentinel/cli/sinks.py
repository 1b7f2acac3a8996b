"""`sentinel sinks`: whether alerts arrive, how each sink fares, and what was given up."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sentinel.cli import shared
from sentinel.cli.storage import open_store

if TYPE_CHECKING:
    from sentinel.sinks.outcome import Health, Outgoing

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
sink_option = click.option("--sink", help="Only this sink.")


@click.group()
def sinks() -> None:
    """Where alerts go."""


@sinks.command()
@shared.config
@click.argument("name", required=False)
def test(config: Path, name: str | None) -> None:
    """Send a marked test alert through the real path to each sink, and print the receiver's answer; NAME: only to this one."""
    from sentinel.config.loading import load
    from sentinel.sinks.delivery import try_out
    from sentinel.sinks.outcome import Delivered

    settings = load(config).settings
    chosen = [sink for sink in settings.sinks if name in (None, sink.name)]
    if not chosen:
        raise click.BadParameter(f"no sink is called {name!r}" if name else "the configuration has no sinks")
    failed = 0
    for sink in chosen:
        outcome = try_out(sink)
        if isinstance(outcome, Delivered):
            click.echo(f"{sink.name}: delivered {outcome.answer}".rstrip())
        else:
            failed += 1
            click.echo(f"{sink.name}: not delivered: {outcome.reason}", err=True)
    if failed:
        sys.exit(1)


@sinks.command()
@shared.maybe_config
@shared.store
@as_json_option
def status(config: Path | None, store: Path | None, as_json: bool) -> None:
    """Show how each sink fares: whether it delivers, what waits for it and since when, and its dead letters."""
    from sentinel.sinks.outcome import Health

    with open_store(config, store) as kept:
        tally = kept.tally()
        health = {one.sink: one for one in kept.health()}
    for name in sorted({*tally, *health}):
        waiting, dead, delivered = tally.get(name, (0, 0, 0))
        one = health.get(name) or Health(name)
        if as_json:
            row = {"sink": name, "waiting": waiting, "dead": dead, "delivered": delivered, **_health_row(one)}
            click.echo(json.dumps(row))
        else:
            click.echo(f"{name}: {_state(one)}; {waiting} waiting, {dead} dead, {delivered} delivered")
            if one.failures:
                click.echo(f"    {one.failures} failures since {_time(one.since)}, the last: {one.reason}")
            if one.forgotten:
                click.echo(f"    {one.forgotten} dead letters were forgotten for the sake of backlog_limit")


@sinks.group()
def dead() -> None:
    """What receivers refused for good, or what was given up: the dead letters."""


@dead.command("list")
@shared.maybe_config
@shared.store
@sink_option
@as_json_option
def list_dead(config: Path | None, store: Path | None, sink: str | None, as_json: bool) -> None:
    """List the dead letters, oldest first, with the receiver's answer."""
    with open_store(config, store) as kept:
        letters = kept.dead_letters(sink)
    for name, letter in letters:
        if as_json:
            click.echo(json.dumps(_letter_row(name, letter)))
        else:
            click.echo(f"{_time(letter.first_queued)}  {name}  {letter.alert.id}  {letter.answer or ''}")


@dead.command("show")
@shared.maybe_config
@shared.store
@click.argument("alert")
def show_dead(config: Path | None, store: Path | None, alert: str) -> None:
    """Show one dead letter: the alert, and what each receiver said that would not take it."""
    with open_store(config, store) as kept:
        letters = [(name, letter) for name, letter in kept.dead_letters(None) if letter.alert.id == alert]
    if not letters:
        raise click.BadParameter(f"no dead letter is called {alert!r}")
    for name, letter in letters:
        click.echo(json.dumps(_letter_row(name, letter), indent=2))


@dead.command()
@shared.maybe_config
@shared.store
@sink_option
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.argument("alerts", nargs=-1)
def resend(config: Path | None, store: Path | None, sink: str | None, everything: bool, alerts: tuple[str, ...]) -> None:
    """Queue dead letters again, by the ids of their alerts; a running daemon sends them at once."""
    if bool(alerts) == everything:
        raise click.UsageError("name the alerts, or give --all")
    with open_store(config, store) as kept:
        chosen = [letter.alert.id for _name, letter in kept.dead_letters(sink)] if everything else list(alerts)
        count = kept.resend(list(dict.fromkeys(chosen)), sink)
    click.echo(f"{count} dead letter{'s' * (count != 1)} queued again")
    if not count and alerts:
        sys.exit(1)


def _state(health: Health) -> str:
    if health.failures:
        return f"does not deliver, is asked again at {_time(health.retry_at)}"
    return f"delivers, last at {_time(health.delivered_at)}" if health.delivered_at else "has not delivered yet"


def _health_row(health: Health) -> dict[str, str | int | None]:
    times = {name: getattr(health, name) for name in ("since", "retry_at", "delivered_at")}
    stamps = {name: _time(time) if time else None for name, time in times.items()}
    return {"delivers": not health.failures, "failures": health.failures, "reason": health.reason, **stamps} | {
        "forgotten": health.forgotten
    }


def _letter_row(sink: str, letter: Outgoing) -> dict[str, str | int | None]:
    alert = letter.alert
    return {
        "alert": alert.id, "sink": sink, "kind": alert.kind, "raised": _time(letter.first_queued), "attempts": letter.attempts,
        "answer": letter.answer, "session": alert.session.id if alert.session else None, "text": alert.text,
    }  # fmt: skip


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}" if time else "-"
