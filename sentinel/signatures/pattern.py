"""Regular expressions whose time is linear in the text, whoever chose the text."""

from __future__ import annotations

import re
from functools import cache

import hyperscan


@cache
def path_database(pattern: str) -> hyperscan.Database:
    """Return *pattern*, which begins with ^, compiled by Hyperscan.

    Raises:
        hyperscan.error: It is no pattern, or needs look-around or back-references.
    """
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    # "^/a|/b" would anchor its first branch only.
    anchored = b"^(?:" + pattern.removeprefix("^").encode() + b")"
    flags = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY
    database.compile(expressions=[anchored], ids=[0], flags=[flags])
    return database


def literal_start(pattern: str) -> str:
    """Return the characters that every path which fits *pattern*, anchored with ^, begins with; "" when there are none."""
    if "|" in re.sub(r"\\.|\((?:[^()]|\([^()]*\))*\)|\[[^]]*\]", "", pattern):  # a branch at the top: either may begin it
        return ""
    found = re.match(r"(?:[^\\.^$*+?{}\[\]|()]|\\[^0-9A-Za-z])*", pattern.removeprefix("^"))
    text = found[0] if found else ""
    if pattern[1 + len(text) :][:1] in ("?", "*", "{"):  # what it follows may be missing
        text = text[:-2] if text[-2:-1] == "\\" else text[:-1]
    return re.sub(r"\\(.)", r"\1", text)
