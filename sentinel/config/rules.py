"""Reads rules and policy. Apart from the settings, so that a replay without a configuration loads no sinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentinel.policy.policy import Policy
from sentinel.problems import Problem, Problems
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.compiled import kept_or
from sentinel.signatures.folders import builtin_rules, files_in
from sentinel.signatures.service import Service

if TYPE_CHECKING:
    from sentinel.policy.reading import ReadPolicy
    from sentinel.signatures.feed import Feed
    from sentinel.signatures.pack import Pack
    from sentinel.signatures.reading import Read


@dataclass(frozen=True, slots=True)
class PackAt:
    """Where the pack in force lies, and the public keys that may have signed it."""

    path: Path
    keys: Sequence[Path]


@dataclass(frozen=True, slots=True)
class RuleSources:
    """What rules are made of.

    The pack, or without one the built-in catalog; folders that add to it or replace in it; and lists that others keep.
    """

    folders: Sequence[Path] = ()
    builtin: bool = True
    pack: PackAt | None = None
    feeds: Sequence[Feed] = ()

    def places(self) -> list[Path | Pack]:
        """Return the pack or folder of the catalog, and the further folders, in the order in which they replace each other.

        A pack that is not there yet leaves the built-in catalog in force; one that has expired serves on, since no rules
        would be worse.

        Raises:
            Problems: A folder is not there, or the pack may not be used.
        """
        packed = installed_pack(self.pack) if self.pack else None
        base: list[Path | Pack] = [packed] if packed else [builtin_rules()] if self.builtin else []
        missing = [
            Problem(str(folder), 0, "no such folder of rules", "Create it or mend the path.")
            for folder in [*base, *self.folders]
            if isinstance(folder, Path) and not folder.is_dir()
        ]
        if missing:
            raise Problems(missing)
        return [*base, *self.folders]

    def read(self) -> Read:
        """Read all service files. Their cases are not run.

        Raises:
            Problems: Every mistake in them, with file and line.
        """
        from sentinel.signatures.reading import read_files

        return read_files(self.places())

    def load(self) -> Catalog:
        """Read all service files and run their cases.

        Raises:
            Problems: Every mistake in the rules, with file and line; or there are no rules at all.
        """
        from sentinel.signatures.reading import load_catalog

        where = self.places()
        catalog = load_catalog(where)
        return _some(_with_feeds(catalog, self.feeds) if self.feeds else catalog, where)

    def files(self) -> list[Path]:
        """Return every file that what `load` returns depends on, as far as it is there."""
        packed = [self.pack.path, *self.pack.keys] if self.pack else []
        folders = ([builtin_rules()] if self.builtin else []) + list(self.folders)
        packed += [feed.path for feed in self.feeds]
        return [path for path in packed if path.exists()] + [path for folder in folders for path in files_in(folder)]


def read_policy_at(path: Path, zone: tzinfo) -> ReadPolicy:
    """Read a policy file; times in it without an offset are in *zone*.

    Raises:
        Problems: Every mistake in it, with file and line.
    """
    from sentinel.located import load
    from sentinel.policy.reading import read_policy

    read = read_policy(*load(path), str(path), zone)
    assert read is not None  # nothing in it was told before
    return read


def load_policy(path: Path, zone: tzinfo, catalog: Catalog) -> Policy:
    """Return the policy in a file, its tests run with the services of *catalog*.

    Raises:
        Problems: Every mistake in it, with file and line.
    """
    from sentinel.policy.reading import problems_of

    read = read_policy_at(path, zone)
    problems = problems_of(read, catalog.services)
    if problems:
        raise Problems(problems)
    return read.policy


def sources_of(settings: Any, base: Path, more: Sequence[Path] = ()) -> RuleSources:
    """Return what a configuration says rules are made of, paths counting from its folder *base*, and *more* folders."""
    packed = settings.rules_pack
    pack = PackAt(base / packed.path, [base / key for key in packed.keys]) if packed else None
    folders = [*(base / folder for folder in settings.rules), *more]
    return RuleSources(folders, settings.builtin_rules, pack, _feeds(settings.feeds, base))


def _feeds(entries: Sequence[Any], base: Path) -> list[Feed]:
    if not entries:
        return []
    from sentinel.signatures.feed import Feed

    return [
        Feed(base / one.path, one.format, one.id, one.name or one.id, one.category, one.severity, tuple(one.references))
        for one in entries
    ]


def _with_feeds(catalog: Catalog, feeds: Sequence[Feed]) -> Catalog:
    """Return *catalog* with the lists as services.

    Raises:
        Problems: Every list that cannot be used, or has the id of another service.
    """
    from sentinel.signatures.feed import read_feed

    services: dict[str, Service] = {}
    problems: list[Problem] = []
    for feed in feeds:
        if feed.id in catalog.services or feed.id in services:
            what = f"another service has the id {feed.id!r} of this feed"
            problems.append(Problem(str(feed.path), 0, what, "Give it its own."))
            continue
        try:
            services[feed.id] = read_feed(feed)
        except Problems as found:
            problems += found.problems
    if problems:
        raise Problems(problems)
    return catalog.with_services(services.values())


def installed_pack(at: PackAt) -> Pack | None:
    """Return the pack that lies there, its signature and digests checked; None when none does.

    Raises:
        Problems: It may not be used, or a key cannot be read.
    """
    if not at.path.exists():
        return None
    from sentinel.signatures.pack import BadPackError, read_pack
    from sentinel.signatures.trust import public_keys

    try:
        return read_pack(at.path, public_keys(at.keys))
    except BadPackError as error:
        raise Problems(
            [Problem(str(at.path), 0, f"the pack {error}", "Install another with `sentinel rules update`.")]
        ) from error
    except OSError as error:
        mend = "Check the path and the permissions."
        raise Problems([Problem(str(at.path), 0, f"cannot be read: {error.strerror}", mend)]) from error


def overdue(sources: RuleSources, now: datetime) -> list[Problem]:
    """Return a warning when the pack in force should have been replaced by now: it serves on, and may know too little."""
    packed = installed_pack(sources.pack) if sources.pack else None
    if packed is None or not packed.expired(now):
        return []
    what = f"the pack in force expired on {packed.manifest.expires:%Y-%m-%d}"
    return [Problem(packed.path, 0, what, "Install a newer one with `sentinel rules update`.")]


def load_rules(folders: Sequence[Path], *, builtin: bool = True) -> Catalog:
    """Read the built-in catalog, if *builtin*, and what *folders* add to it or replace in it, and run its cases.

    Raises:
        Problems: Every mistake in the rules, with file and line; or there are no rules at all.
    """
    return RuleSources(folders, builtin).load()


def checked_rules(sources: RuleSources) -> Catalog:
    """Return what *sources* make, at once where the very same files were read and found good before.

    Raises:
        Problems: As `RuleSources.load` does.
    """
    where = sources.places()
    return kept_or(sources.load, [*map(_called, where), *sources.feeds], sources.files())


def _some(catalog: Catalog, where: Sequence[Path | Pack]) -> Catalog:
    if not catalog.services:
        names = ", ".join(map(_called, where)) or "the configuration"
        raise Problems(
            [
                Problem(
                    names, 0, "no rules: Sentinel would watch for nothing", "Keep builtin_rules, or name a folder with rules."
                )
            ]
        )
    return catalog


def _called(place: Path | Pack) -> str:
    return str(place) if isinstance(place, Path) else place.path
