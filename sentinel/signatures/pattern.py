"""Regular expressions whose time is linear in the text, whoever chose the text."""

from __future__ import annotations

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
