"""`sentinel who`: who had an address at a time, and how that is known."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sentinel.cli import shared
from sentinel.observation import ip_address

if TYPE_CHECKING:
    from datetime import datetime

    from sentinel.activity.records import Session


@click.command()
@click.argument("address")
@click.argument("time")
@shared.maybe_config
@shared.store
@click.option("--case", type=click.Path(exists=True, path_type=Path), help="The folder of a case, whose sessions are told too.")
@shared.identity
@click.option("--policy", type=click.Path(exists=True, path_type=Path), help="A policy, whose infrastructure counts.")
@shared.zone
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def who(
    address: str,
    time: str,
    config: Path | None,
    store: Path | None,
    case: Path | None,
    identity: tuple[Path, ...],
    policy: Path | None,
    zone: str | None,
    as_json: bool,
) -> None:
    """Tell who had ADDRESS at TIME (ISO 8601), every candidate, and why; "cannot say" is an answer too."""
    canonical = ip_address(address)
    if canonical is None:
        raise click.BadParameter(f"{address!r} is no IP address")
    settings, ruled = shared.ruled(config, policy, zone)
    zone = zone or (settings.timezone if settings else None)
    when = shared.moment(time, zone)
    assert when is not None
    kept = _sessions(config, store, case, canonical, when)
    if ruled.excludes(canonical):
        raise click.BadParameter(f"{canonical}: policy excludes this address from monitoring, and nothing is kept of it")
    directory = shared.directory(identity, settings, config, zone, ruled)
    if directory is None and not kept:
        raise click.UsageError("name identity files with --identity or in the settings, or a store or --case with sessions")
    answer = directory.who(canonical, when) if directory else None
    if as_json:
        click.echo(json.dumps(_document(canonical, when, answer, kept)))
    else:
        _tell(answer, kept)


def _sessions(config: Path | None, store: Path | None, case: Path | None, address: str, when: datetime) -> list[Session]:
    """Return the sessions of the address that hold the time, of a case or store if one is named or the settings have one."""
    from sentinel.cli.storage import open_store

    place = case or store
    if place is None and config is None:
        return []
    try:
        with open_store(config if place is None else None, place) as kept:
            return [s for s in kept.sessions() if s.client == address and s.started <= when <= s.ended]
    except click.BadParameter:
        if place is None:  # the daemon has not run yet
            return []
        raise


def _tell(answer: Any, sessions: list[Session]) -> None:
    if answer is not None:
        click.echo(answer.explanation)
        for one in answer.candidates:
            named = [part for part in (one.user, one.person, one.unit, one.mailbox, one.device, one.mac) if part]
            click.echo(f"  {one.confidence:9} {_plain(', '.join(named) or 'somebody unknown')}\n            {_plain(one.why)}")
    for session in sessions:
        user = ", ".join(session.users) or session.user or "nobody named"
        known = session.identity or ("its records name the user" if session.users else "no identity records were given")
        click.echo(f"  session   {session.id} on {session.service_name}: {_plain(user)}; {_plain(known)}")


def _plain(text: str) -> str:
    from sentinel.activity.wording import printable

    return printable(text)


def _document(address: str, when: datetime, answer: Any, sessions: list[Session]) -> dict[str, Any]:
    from sentinel.investigate.result import session_document, stamp

    return {
        "address": address,
        "time": stamp(when),
        "said": asdict(answer.said) if answer and answer.said else None,
        "explanation": answer.explanation if answer else None,
        "candidates": [asdict(one) for one in answer.candidates] if answer else [],
        "sessions": [session_document(session, []) for session in sessions],
    }
