"""Regular expressions of log formats: many are known, a log needs few of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any


class Pattern:
    """A regular expression that is compiled when it is first used, with the methods of `re.Pattern`.

    Compiling those of all formats would take longer than reading a small log.
    """

    match: Callable[..., re.Match[Any] | None]
    fullmatch: Callable[..., re.Match[Any] | None]
    search: Callable[..., re.Match[Any] | None]
    finditer: Callable[..., Iterator[re.Match[Any]]]
    findall: Callable[..., list[Any]]
    split: Callable[..., list[Any]]
    sub: Callable[..., Any]
    subn: Callable[..., tuple[Any, int]]

    def __init__(self, pattern: str | bytes, flags: int = 0) -> None:
        """Keep what `re.compile` is to be given."""
        self.pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # Only met for what is not there yet: from then on the compiled pattern's own method is found at once.
        method = getattr(re.compile(self.pattern, self._flags), name)
        setattr(self, name, method)
        return method
