"""`sentinel observe`: everything that logs, captures and interfaces show, as ECS documents."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sentinel.cli import shared
from sentinel.packets.ports import DNS_PORTS

if TYPE_CHECKING:
    from sentinel.activity.records import Origin
    from sentinel.observation import Observation
    from sentinel.policy.policy import Policy


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--interface", help="Watch this network interface instead, until Ctrl-C; it needs the capability CAP_NET_RAW.")
@click.option("--outgoing", is_flag=True, help="With --interface: also what this machine itself sends.")
@shared.maybe_config
@click.option("--policy", type=click.Path(exists=True, path_type=Path), help="A policy: what it excludes is not shown.")
@shared.log_format
@shared.mappings
@shared.zone
def observe(
    paths: tuple[str, ...],
    interface: str | None,
    outgoing: bool,
    config: Path | None,
    policy: Path | None,
    log_format: str | None,
    zone: str | None,
) -> None:
    """Print every observation in files, captures or on an interface as ECS JSON lines, whether a rule matches it or not.

    PATHS are logs, captures, archives, folders or patterns; - is standard input. Of the settings file, the ports of DNS, the
    time zone, the mappings and the addresses that its policy excludes from monitoring count.
    """
    if interface is None and not paths:
        raise click.UsageError("name files to read, or an interface with --interface")
    if interface is not None and paths:
        raise click.UsageError("either files or an interface, not both")
    settings, ruled = shared.ruled(config, policy, zone)
    shown = _Shown(ruled)
    dns_ports = settings.dns_ports if settings else DNS_PORTS
    if interface is not None:
        _watch(interface, shown, outgoing=outgoing, dns_ports=dns_ports)
        shown.tell()
        return
    from sentinel.investigate.observing import observe_all

    zone = zone or (settings.timezone if settings else None)
    found = observe_all(shared.expand(paths), log_format=log_format, zone=zone, tell=_tell, dns_ports=dns_ports)
    for seen, origin in found:
        shown.write(seen, origin)
    shown.tell()


class _Shown:
    """Writes observations, but those of addresses that a policy excludes from monitoring; these are counted."""

    def __init__(self, policy: Policy) -> None:
        from sentinel.schemas.observed import document

        self._document = document
        self._policy = policy
        self._excluded = 0

    def write(self, seen: Observation, origin: Origin) -> None:
        """Write one observation as a line, or count it."""
        if self._policy.exclusions and self._policy.excludes(seen.client, seen.server, *seen.answers):
            self._excluded += 1
            return
        sys.stdout.write(json.dumps(self._document(seen, origin)) + "\n")

    def tell(self) -> None:
        """Say how many were left out, if any."""
        if self._excluded:
            _tell(f"{self._excluded} observations of addresses that policy excludes from monitoring were left out")


def _watch(interface: str, shown: _Shown, *, outgoing: bool, dns_ports: Collection[int]) -> None:
    from sentinel.cli.run import set_up_logging
    from sentinel.investigate.watching import observe_interface
    from sentinel.sources.ring import NoInterfaceError, NotPermittedError

    set_up_logging()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        for observed in observe_interface(interface, outgoing=outgoing, dns_ports=dns_ports, stop=stop, tell=_tell):
            for seen, origin in observed:
                shown.write(seen, origin)
            sys.stdout.flush()  # somebody watches
    except NoInterfaceError as error:
        raise click.UsageError(str(error)) from error
    except NotPermittedError as error:
        _tell(f"{interface}: {error}. Run as root, or with CAP_NET_RAW: sudo setcap cap_net_raw+ep on a copy of Python")
        sys.exit(1)


def _tell(text: str) -> None:
    click.echo(text, err=True)
