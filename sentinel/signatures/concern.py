"""Which host names the rules could have anything to say of: a quick answer, for the many names of which they say nothing."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from sentinel.signatures.spelling import fits


@dataclass(frozen=True, slots=True)
class Concern:
    """Tells whether a lookup of a name, or a connection to it, may match an indicator; never no where one does.

    `hosts`: those that indicators hang on, below which they may hold too; `patterns`: host patterns that hold anywhere;
    `listed`: further hosts, too many for one set.
    """

    hosts: frozenset[str]
    patterns: tuple[str, ...] = ()
    listed: tuple[Container[str], ...] = ()

    def __call__(self, name: str) -> bool:
        """Return whether *name*, in lower case and without a final dot, may concern us."""
        here = name
        while here:
            if here in self.hosts or any(here in some for some in self.listed):
                return True
            here = here.partition(".")[2]
        return any(fits(pattern, name) for pattern in self.patterns)
