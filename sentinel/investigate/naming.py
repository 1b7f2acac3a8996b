"""Reads identity files, of a replay or of the daemon's settings: who had which address."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from sentinel.formats.clock import zone_of
from sentinel.identity import Binding, Directory, NotIdentity, bindings, export
from sentinel.identity.binding import ALWAYS, FOREVER
from sentinel.identity.directory import SKEW
from sentinel.identity.people import Entry, People
from sentinel.policy.policy import Policy
from sentinel.problems import Problem, Problems

ROTATED = re.compile(r"(?P<stem>.+?)(?:[.-]\d{1,8}(?:-\d{1,6})?)?(?:\.(?:gz|bz2|xz))?\Z", re.ASCII)
"""How log rotation names what it puts aside: `dhcpd.log.1`, `dhcpd.log-20260301.gz`."""

UNPACK = {b"\x1f\x8b": gzip.decompress, b"BZ": bz2.decompress, b"\xfd7": lzma.decompress}

COMPARED = 8
"""So many records of one fact that two sources tell say by how much their clocks differ."""

NEAR = timedelta(minutes=10)
"""Records of two sources further apart than this are not taken for the same fact."""

MEND = "Give a lease file, a log of DHCP, RADIUS, VPN or log-ons, a CSV with an address column, or a directory's LDIF or CSV."


@dataclass(frozen=True, slots=True)
class IdentityFiles:
    """A file, or a folder of them, that says who had which address."""

    path: Path
    zone: str | None = None  # IANA name of the zone of times that carry none
    skew: timedelta = timedelta()  # by how much the clock that wrote it is ahead


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much the clock of the source *one* is ahead of *other*'s, as their records of the same facts show."""

    one: str
    other: str
    ahead: timedelta
    records: int


def sources_of(settings: Any, config: Path | None) -> list[IdentityFiles]:
    """Return the sources that settings name, paths counting from their file's folder."""
    if settings is None or config is None:
        return []
    base = config.resolve().parent
    return [
        IdentityFiles(base / one.path, one.timezone or settings.timezone, timedelta(seconds=one.skew))
        for one in settings.identity
    ]


def directory_of(sources: Sequence[IdentityFiles], policy: Policy) -> Directory | None:
    """Return who had which address according to *sources*; None when none are given.

    Nothing is kept of addresses that *policy* excludes from monitoring; those that it declares to be shared are nobody's.
    Where two sources tell the same facts, the directory reckons with the difference of their clocks.

    Raises:
        Problems: A file cannot be read, or holds no identity records of a known kind.
    """
    if not sources:
        return None
    known: list[Binding] = []
    people: list[Entry] = []
    problems: list[Problem] = []
    for source in sources:
        for names, data, changed in _files(source.path, problems):
            try:
                _read(names[0].name, data, source, changed, known, people)
            except NotIdentity as error:
                problems.append(Problem(str(names[0]), 0, str(error), MEND))
    if problems:
        raise Problems(problems)
    kept = [claim for claim in known if not (claim.address and policy.excludes(claim.address))]
    widest = max((abs(one.ahead) for one in differences(kept)), default=timedelta())
    return Directory(kept, people=People(people), declared=policy.shared, skew=max(SKEW, widest))


def differences(claims: Iterable[Binding]) -> list[Difference]:
    """Return how much the clocks of sources differ that tell the same facts: who came to an address, and when.

    A difference is told where at least `COMPARED` facts show it, and most of them nearly the same one.
    """
    began: dict[str, dict[tuple[str, str], list[datetime]]] = {}
    for claim in claims:
        who = claim.mac or (claim.user or "").casefold()
        if claim.address and who and claim.since and claim.since != ALWAYS:
            began.setdefault(claim.source, {}).setdefault((claim.address, who), []).append(claim.since)
    names = sorted(began)
    found = []
    for nth, one in enumerate(names):
        for other in names[nth + 1 :]:
            apart = _apart(began[one], began[other])
            if len(apart) >= COMPARED:
                middle = median(apart)
                spread = median(abs(gap - middle) for gap in apart)
                if spread <= max(2.0, abs(middle) / 4):
                    found.append(Difference(one, other, timedelta(seconds=middle), len(apart)))
    return found


def _apart(
    one: Mapping[tuple[str, str], Sequence[datetime]], other: Mapping[tuple[str, str], Sequence[datetime]]
) -> list[float]:
    """Return for each fact that both tell by how many seconds the nearest record of *one* is later."""
    gaps = []
    for fact, times in one.items():
        for time in times if fact in other else ():
            gap = min((time - theirs for theirs in other[fact]), key=abs)
            if abs(gap) <= NEAR:
                gaps.append(gap.total_seconds())
    return gaps


def _read(name: str, data: bytes, source: IdentityFiles, changed: datetime, known: list[Binding], people: list[Entry]) -> None:
    text = data.decode("utf-8-sig", "surrogateescape")
    if export.is_ldif(text):
        people += export.ldif(name, text)
    elif export.is_csv(text):
        people += export.table(name, text)
    else:
        known += [_corrected(claim, source.skew) for claim in bindings(name, data, zone_of(source.zone), changed)]


def _corrected(claim: Binding, skew: timedelta) -> Binding:
    """Return a claim with its times as a right clock would have written them."""
    if not skew:
        return claim
    since, until = (
        time if time in (None, ALWAYS, FOREVER) or time is None else time - skew for time in (claim.since, claim.until)
    )
    return replace(claim, since=since, until=until)


def _files(path: Path, problems: list[Problem]) -> Iterable[tuple[list[Path], bytes, datetime]]:
    """Yield each file's bytes and when it was changed; what rotation cut apart is one: a lease may end in the next file."""
    groups: dict[Path, list[tuple[datetime, Path, bytes]]] = {}
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if path.is_dir() and not file.is_file():
            continue
        try:
            changed = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            data = file.read_bytes()
            unpack = UNPACK.get(data[:2])
            whole = unpack(data) if unpack else data
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            problems.append(Problem(str(file), 0, f"cannot be read: {error}", MEND))
            continue
        found = ROTATED.match(file.name)
        stem = found["stem"] if found else file.name
        groups.setdefault(file.with_name(stem), []).append((changed, file, whole))
    for parts in groups.values():
        parts.sort(key=lambda part: part[:2])
        yield [file for _changed, file, _data in reversed(parts)], b"\n".join(data for *_rest, data in parts), parts[-1][0]
