"""A person's mistakes in a file, told all at once: file, line, what is wrong, how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `line` counts from 1; 0 when it belongs to no line."""

    file: str
    line: int
    what: str
    mend: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.what}" + (f"\n    {self.mend}" if self.mend else "")


class Problems(Exception):
    """A person's mistakes in a file, all that were found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep *problems*, of which there is at least one."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = list(problems)
