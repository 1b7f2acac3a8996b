"""A tool that the catalog can be exported to, and what an export is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.exports.entry import PLURAL, Entry, Kind, entries

DETECTED = ("face-search", "forensic-face-recognition", "reverse-image")
"""The categories that are exported unless others are asked for: using a sanctioned system or a VPN is no face search."""


@dataclass(frozen=True, slots=True)
class Left:
    """Entries of one kind that a tool cannot look for, and why."""

    kind: Kind
    why: str
    entries: tuple[Entry, ...]

    def __str__(self) -> str:
        services = sorted({entry.service.id for entry in self.entries})
        return f"{len(self.entries)} {PLURAL[self.kind]} ({self.why}): {', '.join(services)}"


@dataclass(frozen=True, slots=True)
class About:
    """What an export says of itself."""

    ruleset: str  # digest of the rule set
    made: datetime  # aware; where a tool needs a date or serial
    services: int
    entries: int
    left: tuple[Left, ...]
    caveats: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The header, line by line, without the marks of a comment. It holds no time: the same rules give the same lines."""
        return [
            f"Face search, by Sentinel, rule set {self.ruleset[:12]}: {self.services} services, {self.entries} entries.",
            *self.caveats,
            *(f"Left out: {one}." for one in self.left),
        ]

    def comment(self, mark: str) -> str:
        """Return the header as comment lines that begin with *mark*."""
        return "".join(f"{mark} {line}\n" for line in self.lines)


def _never(_entry: Entry) -> None:
    """Refuse no entry."""


@dataclass(frozen=True, slots=True)
class Target:
    """How the catalog is written for one tool."""

    title: str
    reference: str
    """Where the tool's own syntax is described."""

    write: Callable[[Sequence[Entry], About], Mapping[str, str]]
    """Turns what the tool can look for into files: name and text, the first being the main one."""

    leaves: Mapping[Kind, str] = field(default_factory=dict)
    """The kinds that the tool cannot look for, and why."""

    refuses: Callable[[Entry], str | None] = _never
    """Why the tool cannot look for this very entry, None when it can."""

    covered: bool = False
    """Whether entries that only tell the stage are wanted as well (see `entries`)."""

    caveats: tuple[str, ...] = ()
    """What holds for every export to this tool, in sentences."""


@dataclass(frozen=True, slots=True)
class Export:
    """The files of an export, and what it says of itself."""

    files: Mapping[str, str]
    about: About


def export(target: Target, catalog: Catalog, made: datetime, categories: Sequence[str] = DETECTED) -> Export:
    """Return the services of *categories* as *target* writes them; the same arguments give the same text."""
    wanted = [service for service in catalog.services.values() if service.category in categories]
    taken: list[Entry] = []
    left: dict[tuple[Kind, str], list[Entry]] = {}
    for entry in entries(wanted, covered=target.covered):
        why = target.leaves.get(entry.kind) or target.refuses(entry)
        if why:
            left.setdefault((entry.kind, why), []).append(entry)
        else:
            taken.append(entry)
    about = About(
        ruleset=catalog.digest,
        made=made,
        services=len({entry.service.id for entry in taken}),
        entries=len(taken),
        left=tuple(Left(kind, why, tuple(some)) for (kind, why), some in sorted(left.items())),
        caveats=target.caveats,
    )
    return Export(target.write(taken, about), about)
