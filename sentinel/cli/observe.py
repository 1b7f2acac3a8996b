"""`sentinel observe`: everything that logs, captures and interfaces show, as ECS documents."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from sentinel.cli import shared
from sentinel.packets.ports import DNS_PORTS


@click.command()
@click.argument("paths", nargs=-1)
@click.option("--interface", help="Watch this network interface instead, until Ctrl-C; it needs the capability CAP_NET_RAW.")
@click.option("--outgoing", is_flag=True, help="With --interface: also what this machine itself sends.")
@shared.maybe_config
@shared.log_format
@shared.mappings
@shared.zone
def observe(
    paths: tuple[str, ...],
    interface: str | None,
    outgoing: bool,
    config: Path | None,
    log_format: str | None,
    zone: str | None,
) -> None:
    """Print every observation in files, captures or on an interface as ECS JSON lines, whether a rule matches it or not.

    PATHS are logs, captures, archives, folders or patterns; - is standard input. Of the settings file, the ports of DNS, the
    time zone and the mappings count.
    """
    if interface is None and not paths:
        raise click.UsageError("name files to read, or an interface with --interface")
    if interface is not None and paths:
        raise click.UsageError("either files or an interface, not both")
    settings = _settings(config)
    dns_ports = settings.dns_ports if settings else DNS_PORTS
    if interface is not None:
        _watch(interface, outgoing=outgoing, dns_ports=dns_ports)
        return
    from sentinel.investigate.observing import observe_all
    from sentinel.schemas.observed import document

    write = sys.stdout.write
    zone = zone or (settings.timezone if settings else None)
    found = observe_all(shared.expand(paths), log_format=log_format, zone=zone, tell=_tell, dns_ports=dns_ports)
    for seen, origin in found:
        write(json.dumps(document(seen, origin)) + "\n")


def _settings(config: Path | None) -> Any:
    if config is None:
        return None
    from sentinel.config.loading import load

    return load(config).settings


def _watch(interface: str, *, outgoing: bool, dns_ports: Collection[int]) -> None:
    from sentinel.cli.run import set_up_logging
    from sentinel.investigate.watching import observe_interface
    from sentinel.schemas.observed import document
    from sentinel.sources.ring import NoInterfaceError, NotPermittedError

    set_up_logging()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        for observed in observe_interface(interface, outgoing=outgoing, dns_ports=dns_ports, stop=stop, tell=_tell):
            for seen, origin in observed:
                sys.stdout.write(json.dumps(document(seen, origin)) + "\n")
            sys.stdout.flush()  # somebody watches
    except NoInterfaceError as error:
        raise click.UsageError(str(error)) from error
    except NotPermittedError as error:
        _tell(f"{interface}: {error}. Run as root, or with CAP_NET_RAW: sudo setcap cap_net_raw+ep on a copy of Python")
        sys.exit(1)


def _tell(text: str) -> None:
    click.echo(text, err=True)
