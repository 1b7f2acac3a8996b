r"""A request as a regular expression that every engine of the targets reads: POSIX, PCRE, JavaScript, Lucene and Zeek.

It has groups, classes, and greedy repetition, and none of look-around, `\d`, `(?:` or lazy repetition.
"""

from __future__ import annotations

import re

from sentinel.formats.pattern import Pattern
from sentinel.signatures.service import Url

# An escape, a class, a group's beginning, a repetition with its mode, or one character.
PIECE = Pattern(r"\\(?s:.)|\[\^?\]?(?:\\(?s:.)|[^\]\\])*\]|\(\?:?|(?:[*+?]|\{\d*,?\d*\})[?+]?|(?s:.)")
GROUP = Pattern(r"\\.|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|\[[^]]*\]")
NOT_SIMPLE = Pattern(r"\(\?|\\[A-Za-z0-9]|(?:[*+?]|\{.*\})[?+]|\[.*(?:\\[A-Za-z0-9]|\[:).*")
SHORT = {r"\d": "[0-9]", r"\w": "[A-Za-z0-9_]", r"\s": "[ \t]"}
END_OF_PATH = "([?]|$)"


def host_regex(pattern: str) -> str:
    """Return a host name or pattern as a regular expression without anchors; a star is one character or more of a label."""
    if pattern == "*":
        return "[^/]+"
    return "[^.]+".join(escaped(part) for part in pattern.split("*"))


def path_regex(url: Url, end: str = END_OF_PATH) -> str | None:
    """Return what the path of *url* begins with, as an expression that begins with ^; None when it cannot be said so simply.

    *end* stands where the path ends: the default is for a path with its query behind it.
    """
    if url.path is not None:
        behind = f"({END_OF_PATH}|/)" if end == END_OF_PATH else "(/|$)"
        return "^" + escaped(url.path) + (behind if url.shared else end)
    simple = _simple(url.path_regex or "", end)
    return simple and f"^({simple})"


def whole_path(url: Url) -> str | None:
    """Return an expression for the whole path of *url*, for engines that match no part and know no anchors; None as above."""
    if url.path is not None:
        return escaped(url.path) + ("(/.*)?" if url.shared else "")
    simple = _simple(url.path_regex or "", "\0")
    if simple is None or "\0" in simple[:-1]:
        return None
    if "|" in GROUP.sub("", simple):  # each branch ends in its own way
        return None if "\0" in simple else f"({simple}).*"
    return simple.removesuffix("\0") if simple.endswith("\0") else f"{simple}.*"


def query_regexes(url: Url) -> list[str]:
    """Return an expression for each parameter that must be in the query, to be found in the URL."""
    return [f"[?&]{escaped(one)}" + ("[^&]" if one.endswith("=") else "(&|$)") for one in url.query]


def escaped(text: str) -> str:
    """Return *text* as an expression that matches it; what is special in any of the engines stands behind a backslash."""
    return re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", text)


def _simple(regex: str, end: str) -> str | None:
    found = []
    for piece in PIECE.findall(regex.removeprefix("^")):
        if piece == "$":
            found.append(end)
        elif piece == "(?:":
            found.append("(")
        elif piece in SHORT:
            found.append(SHORT[piece])
        elif NOT_SIMPLE.fullmatch(piece):
            return None
        else:
            found.append(piece)
    return "".join(found)
