"""Which host names may be an indicator at all."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from publicsuffixlist import PSLFILE

from sentinel.observation import host_name

LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z", re.ASCII)


ONION = "onion"
"""The one name of a single label that is looked for: below it lie Tor's services, and nobody else's (RFC 7686)."""


@cache
def _list() -> tuple[frozenset[str], frozenset[str]]:
    """Return the lines of the list: the registries' part, and that of companies which give names to their users.

    The library's own index of it takes longer to build than everything else at start.
    """
    registries, _mark, companies = Path(PSLFILE).read_text(encoding="utf-8").partition("// ===BEGIN PRIVATE DOMAINS===")
    return frozenset(registries.split("\n")), frozenset(companies.split("\n"))


def is_registry(name: str) -> bool:
    """Return whether *name*, canonical and of two labels or more, is one below which a registry gives names, such as co.uk."""
    return _in(_list()[0], name)


def is_platform(name: str) -> bool:
    """Return whether below *name* a company gives names to its users, such as github.io."""
    return _in(_list()[1], name)


def _in(listed: frozenset[str], name: str) -> bool:
    try:
        name = ".".join(label.encode().decode("idna") if label.startswith("xn--") else label for label in name.split("."))
    except UnicodeError:
        return False
    parent = name.partition(".")[2]
    return name in listed or (f"*.{parent}" in listed and f"!{name}" not in listed)


def is_host_name(name: str) -> bool:
    """Return whether *name* is a canonical host name of at least two labels."""
    labels = name.split(".")
    return len(name) <= 253 and len(labels) > 1 and all(LABEL.match(label) for label in labels)


def host_problem(text: str, *, platform: bool = False) -> str | None:
    """Return what is wrong with *text* as a host name to watch for, None when nothing is.

    A public suffix (https://publicsuffix.org/list/, its own copy inside the library) is refused: everybody's names end so.
    With *platform* it has to be one, of a company.
    """
    name = host_name(text)
    if name == ONION:
        return None
    if name is None or not is_host_name(name):
        return f"{text!r} is no host name of two labels or more; write an internationalised one in its xn-- form"
    if platform:
        return None if is_platform(name) else f"{text!r} is no public suffix of a company, so that 'platform' says nothing"
    if is_registry(name) or is_platform(name):
        return f"the domain {text!r} is a public suffix: everybody's names end so; name the site itself, such as example.{name}"
    return None
