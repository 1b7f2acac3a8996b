"""Puts a pack into force: never an older one, never one whose time has passed, and a crash leaves the old or the new.

What is in force is one file, checked anew whenever it is read. Beside it a small one keeps the highest number that was ever
installed, so that whoever can delete the pack cannot bring back an old one by that.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.pack import BadPackError, Pack

SHRINK = 1 / 3
"""The share of services or indicators that may go without somebody's word."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a new catalog no longer looks for."""

    services: list[str]
    indicators: int
    of_services: int
    of_indicators: int

    @property
    def large(self) -> bool:
        """Whether more than a third of the services or of the indicators goes."""
        return len(self.services) > SHRINK * self.of_services or self.indicators > SHRINK * self.of_indicators


def loss(before: Catalog, after: Catalog) -> Loss:
    """Return what *after* no longer looks for, though *before* did."""
    gone = sorted(set(before.services) - set(after.services))
    old, new = _indicators(before), _indicators(after)
    return Loss(gone, len(old - new), len(before.services), len(old))


def _indicators(catalog: Catalog) -> set[str]:
    return {indicator.label for service in catalog.services.values() for indicator in service.indicators}


def refuse_expired(pack: Pack, now: datetime) -> None:
    """Let a pack pass whose time has not passed.

    Raises:
        BadPackError: It has: somebody may be holding back newer ones.
    """
    if pack.expired(now):
        raise BadPackError(f"expired on {pack.manifest.expires:%Y-%m-%d}: get a newer one")


def install(data: bytes, pack: Pack, target: Path, now: datetime, *, installed: int | None = None) -> bool:
    """Put *pack*, which is the bytes *data*, into force at *target*; return whether it was not there already.

    Args:
        data: The bytes.
        pack: The same, opened and checked.
        target: The file that is read at the next reload.
        now: The wall clock.
        installed: The number of the pack that lies at *target*, where it could be checked.

    Raises:
        BadPackError: It is older than one that was installed, another one of the same number, or expired.
        OSError: The folder cannot be written; what was in force stays.
    """
    refuse_expired(pack, now)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent):
        highest, digest = _highest(target)
        if pack.version < max(highest, installed or 0):
            raise BadPackError(f"is version {pack.version}, and {max(highest, installed or 0)} was installed here already")
        if pack.version == highest and digest != pack.digest:
            raise BadPackError(f"is another pack of the version {pack.version}, which was installed here already")
        fresh = not target.exists() or target.read_bytes() != data
        if fresh:
            _replace(target, data)
        _replace(_marker(target), json.dumps({"version": pack.version, "sha256": pack.digest}).encode())
    return fresh


def _marker(target: Path) -> Path:
    return target.with_name(f"{target.name}.highest")


def _highest(target: Path) -> tuple[int, str | None]:
    """Return the highest version that was installed, and that pack's digest; 0 when none was."""
    marker = _marker(target)
    try:
        kept = json.loads(marker.read_bytes())
        return int(kept["version"]), str(kept["sha256"])
    except FileNotFoundError:
        return 0, None
    except (ValueError, LookupError, TypeError) as error:
        raise BadPackError(f"cannot be compared with what was installed before: {marker} is damaged; delete it") from error


def _replace(path: Path, data: bytes) -> None:
    """Write *path* so that a crash at any instant leaves the old content or the new."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    with _folder(path.parent) as folder:
        os.fsync(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other installations in the same folder waiting."""
    with _folder(folder) as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield opened
    finally:
        os.close(opened)
