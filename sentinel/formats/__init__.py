"""Log formats: bytes of one record in, observations out. Each module of this folder that has a `FORMAT` or `FORMATS` is one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from sentinel.formats.format import LogFormat


def _collected() -> Iterator[LogFormat]:
    for module in pkgutil.iter_modules(__path__):
        found = importlib.import_module(f"{__name__}.{module.name}")
        yield from getattr(found, "FORMATS", ())
        if hasattr(found, "FORMAT"):
            yield found.FORMAT


# Filled after it is named: modules of this folder that use the formats are imported while it is.
FORMATS: dict[str, LogFormat] = {}
FORMATS.update({log_format.name: log_format for log_format in sorted(_collected(), key=lambda found: found.name)})


def named(name: str) -> LogFormat | None:
    """Return the format of this name, None when there is none.

    "squid:" and "w3c:" are made from what stands behind the colon: a `logformat`, the names of the columns.

    Raises:
        ValueError: What stands there cannot be read back.
    """
    kind, colon, described = name.partition(":")
    if not colon:
        return FORMATS.get(name)
    from sentinel.formats import squid_logformat, w3c

    if kind == "squid":
        return squid_logformat.of_template(described)
    return w3c.of_fields(described) if kind == "w3c" else None
