"""Which host names may be an indicator at all."""

from __future__ import annotations

import re
from functools import cache

from publicsuffixlist import PublicSuffixList

from sentinel.observation import host_name

LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z", re.ASCII)


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=True)


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
    if _suffixes().publicsuffix(name) == name:
        return f"the domain {text!r} is a public suffix: everybody's names end so; name the site itself, such as example.{name}"
    return None
