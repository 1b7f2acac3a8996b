"""Keeps the checked rules between runs, so that a replay need not read and check a hundred files before it begins.

What is kept is named by the bytes of the rule files and of the code that reads them: a changed rule is checked anew. The
file lies in the user's own cache folder (XDG Base Directory Specification), is believed only if that user owns it and nobody
else may write it, and whoever deletes it loses a quarter of a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.service import Service


def kept_or(load: Callable[[], Catalog], made_of: Sequence[object], files: Iterable[Path]) -> Catalog:
    """Return the rules that *files* make, from the cache when it holds just these, else from *load*, whose result is kept.

    *made_of* names, as text, all that the rules depend on beside the content of the files.

    Raises:
        Problems: As *load* does.
    """
    kept = cache_folder() / f"rules-{hashlib.sha256(os.fsencode(os.pathsep.join(map(str, made_of)))).hexdigest()[:16]}.json"
    key = _key([*files, *sorted(Path(__file__).parent.glob("*.py"))])
    catalog = _read(kept, key) if key else None
    if catalog is None:
        catalog = load()
        if key:
            _write(kept, key, catalog)
    return catalog


def cache_folder() -> Path:
    """Return the user's own folder for what can be made again; it need not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sentinel-face-search"


def is_ours(descriptor: int) -> bool:
    """Return whether an open file belongs to this user, and nobody else may write it."""
    held = os.fstat(descriptor)
    return held.st_uid == os.geteuid() and not held.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _key(files: Iterable[Path]) -> str | None:
    """Return what names the rules' bytes; None when they cannot all be read, which is for the loader to say."""
    seen = hashlib.sha256()
    for path in files:
        try:
            data = path.read_bytes()
        except OSError:
            return None
        seen.update(b"%d %s %d " % (len(os.fsencode(path)), os.fsencode(path), len(data)) + data)
    return seen.hexdigest()


def _read(kept: Path, key: str) -> Catalog | None:
    try:
        with kept.open("rb") as file:
            if not is_ours(file.fileno()):
                return None
            written = json.load(file)
        if written["key"] != key:
            return None
        catalog = Catalog.of(map(Service.of, written["services"]))
        return catalog if catalog.digest == written["digest"] else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _write(kept: Path, key: str, catalog: Catalog) -> None:
    services = [service.described for service in catalog.services.values()]
    text = json.dumps({"key": key, "digest": catalog.digest, "services": services})
    partial = kept.with_suffix(f".{os.getpid()}")
    try:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.touch(mode=0o600)
        partial.write_text(text)
        partial.replace(kept)
    except OSError:  # no home, or one that may not be written: the next run reads the files again
        with contextlib.suppress(OSError):
            partial.unlink()
