"""Turns the template that a program writes its log lines by into a pattern that reads them back.

A line is read from left to right without ever trying a column in two ways: however long a line is, and whatever a client put
into it, the time it takes grows with its length only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sentinel.formats.pattern import Pattern


@dataclass(frozen=True, slots=True)
class Column:
    """A value in a line.

    key: what it is called where it is read; None when it is passed over.
    pattern: what it looks like, where that is told by itself; None for a text that ends where the next literal begins.
    escaped: quotes and backslashes in the text have a backslash before them, so that a quote in it ends nothing.
    """

    key: str | None
    pattern: str | None = None
    escaped: bool = False


Part = str | Column

_END = r"[ \r]{0,8}\Z"


def compiled(parts: Sequence[Part]) -> Pattern:
    """Return the pattern of a line that is made of literals and columns, one group for each key.

    A key that comes a second time is passed over.

    Raises:
        ValueError: Two texts follow each other directly: nothing tells where one ends.
    """
    known: set[str] = set()
    pattern = ""
    for at, part in enumerate(parts):
        if isinstance(part, str):
            pattern += re.escape(part)
            continue
        shape = part.pattern if part.pattern is not None else _until(parts[at + 1 :], r"(?:[^\\]|\\.)" if part.escaped else ".")
        if part.key is None or part.key in known:
            pattern += f"(?:{shape})"
        else:
            known.add(part.key)
            pattern += f"(?P<{part.key}>{shape})"
    return Pattern(pattern + _END, re.ASCII | re.DOTALL)


def _until(rest: Sequence[Part], unit: str) -> str:
    """Return the pattern of a text, one *unit* after the other, that ends before what follows it.

    What follows is all up to the next such text: a client may put a literal into its own, but hardly all of the rest.
    """
    if not rest:
        return ".*"
    follows = ""
    for part in rest:
        if isinstance(part, Column) and part.pattern is None:
            break
        follows += re.escape(part) if isinstance(part, str) else part.pattern or ""
    else:
        follows += _END
    if not follows:
        raise ValueError("two columns stand side by side, and nothing tells where the first one ends")
    if follows == re.escape(" ") or follows == re.escape("\t"):  # it also stands inside texts: nothing more is told
        return rf"[^{follows}]*+"
    return rf"(?>(?:(?!{follows}){unit})*)"


def unquoted(text: str) -> str:
    r"""Undo the backslash before quotes and backslashes, and `\xHH`."""
    return _ESCAPE.sub(_plain, text) if "\\" in text else text


_ESCAPE = Pattern(r"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "v": "\v"}


def _plain(escape: re.Match[str]) -> str:
    if escape[1]:
        return bytes.fromhex(escape[1]).decode("utf-8", "surrogateescape")
    return _CONTROL.get(escape[2], escape[2])
