"""Which host names may be an indicator at all."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from publicsuffixlist import PSLFILE

from sentinel.observation import host_name

LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z", re.ASCII)


@cache
def _list() -> frozenset[str]:
    """Return the lines of the list. The library's own index of it takes longer to build than everything else at start."""
    return frozenset(Path(PSLFILE).read_text(encoding="utf-8").split("\n"))


def _listed(rule: str) -> bool:
    return rule in _list()


def is_public_suffix(name: str) -> bool:
    """Return whether *name*, canonical and of two labels or more, is a public suffix (https://publicsuffix.org/list/)."""
    try:
        name = ".".join(label.encode().decode("idna") if label.startswith("xn--") else label for label in name.split("."))
    except UnicodeError:
        return False
    parent = name.partition(".")[2]
    return _listed(name) or (_listed(f"*.{parent}") and not _listed(f"!{name}"))


def is_host_name(name: str) -> bool:
    """Return whether *name* is a canonical host name of at least two labels."""
    labels = name.split(".")
    return len(name) <= 253 and len(labels) > 1 and all(LABEL.match(label) for label in labels)


def host_problem(text: str) -> str | None:
    """Return what is wrong with *text* as a host name to watch for, None when nothing is.

    A public suffix (https://publicsuffix.org, its own copy inside the library) is refused: everybody's names end so.
    """
    name = host_name(text)
    if name is None or not is_host_name(name):
        return f"{text!r} is no host name of two labels or more; write an internationalised one in its xn-- form"
    if is_public_suffix(name):
        return f"the domain {text!r} is a public suffix: everybody's names end so; name the site itself, such as example.{name}"
    return None
