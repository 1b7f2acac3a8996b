"""Tries the network interfaces that a configuration names: whether they are there, and whether this process may read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sentinel.config.settings import InterfaceSource
from sentinel.located import Lines
from sentinel.problems import Problem
from sentinel.sources.ring import NoInterfaceError, NotPermittedError, permitted, readable_kind

GRANT = (
    "Reading an interface needs the capability CAP_NET_RAW. In the systemd unit: AmbientCapabilities=CAP_NET_RAW and "
    "CapabilityBoundingSet=CAP_NET_RAW, no PrivateNetwork= or PrivateUsers=, and AF_PACKET added to RestrictAddressFamilies= "
    "where that is set."
)


def missing_interfaces(settings: Any, path: Path, lines: Lines) -> list[Problem]:
    """Return a problem for each interface that is not there, or that carries neither Ethernet nor IP."""
    problems = []
    for line, source in _interfaces(settings, lines):
        try:
            if not readable_kind(source.interface):
                problems.append(
                    Problem(
                        str(path), line, f"the interface {source.interface} carries neither Ethernet nor IP", "Name another."
                    )
                )
        except NoInterfaceError as error:
            problems.append(Problem(str(path), line, str(error), "`ip link` lists them; check the name."))
    return problems


def forbidden_interfaces(settings: Any, path: Path, lines: Lines) -> list[Problem]:
    """Return a problem for each interface when this process may not read any."""
    named = list(_interfaces(settings, lines))
    if not named:
        return []
    try:
        permitted()
    except NotPermittedError as error:
        return [
            Problem(str(path), line, f"the interface {source.interface} may not be read by this process: {error}", GRANT)
            for line, source in named
        ]
    return []


def interfaces(settings: Any) -> list[InterfaceSource]:
    """Return the interfaces that are named."""
    return [source for source in settings.sources if isinstance(source, InterfaceSource)]


def _interfaces(settings: Any, lines: Lines) -> Iterator[tuple[int, InterfaceSource]]:
    """Yield the interfaces with the line on which each stands."""
    for nth, source in enumerate(settings.sources):
        if isinstance(source, InterfaceSource):
            yield lines.of(("sources", nth, "interface")), source
