"""Settings that are words of a known list: zones and formats."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from sentinel.formats import FORMATS
from sentinel.formats.clock import zone_of


def _zone(name: str) -> str:
    zone_of(name)
    return name


def _format(name: str) -> str:
    if name not in FORMATS and name != "squid":
        raise ValueError(f"no format is called {name!r}; there are {', '.join(sorted(FORMATS))}")
    return name


Zone = Annotated[str, AfterValidator(_zone)]
FormatName = Annotated[str, AfterValidator(_format)]
