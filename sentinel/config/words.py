"""Settings that are words of a known list: zones and formats."""

from __future__ import annotations

import zoneinfo
from typing import Annotated

from pydantic import AfterValidator

from sentinel.formats import FORMATS


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ValueError(f"no time zone is called {name!r}; write an IANA name such as America/Los_Angeles") from None
    return name


def _format(name: str) -> str:
    if name not in FORMATS and name != "squid":
        raise ValueError(f"no format is called {name!r}; there are {', '.join(sorted(FORMATS))}")
    return name


Zone = Annotated[str, AfterValidator(_zone)]
FormatName = Annotated[str, AfterValidator(_format)]
