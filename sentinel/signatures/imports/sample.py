"""A path that fits an expression of a service file, to make a case of. None when none is found: the case is then missing."""

from __future__ import annotations

import re

GROUP = re.compile(r"\((?:\?:)?((?:[^()\\]|\\.)*)\)([?*+]|\{(\d+)[^}]*\})?")
CLASS = re.compile(r"\[(\^?)((?:[^\]\\]|\\.)+)\]")
REPEATED = re.compile(r"(\\.|[^\\])([?*+]|\{(\d+)[^}]*\})")


def sample(regex: str) -> str | None:
    """Return a text that begins with what *regex*, anchored with ^, asks for."""
    text = CLASS.sub(_one_of, regex.removeprefix("^"))
    while (shorter := GROUP.sub(_branch, text)) != text:
        text = shorter
    text = REPEATED.sub(_times, text.replace("$", ""))
    text = re.sub(r"\\([^A-Za-z0-9])", r"\1", text)
    try:
        return text if re.match(regex, text) else None
    except re.error:
        return None


def _one_of(found: re.Match[str]) -> str:
    if found[1]:
        return "x" if re.fullmatch(found[0], "x") else "0"
    return re.escape(found[2][0]) if found[2][0] != "\\" else found[2][:2]


def _branch(found: re.Match[str]) -> str:
    if found[2] in ("?", "*"):
        return ""
    return found[1].partition("|")[0] * int(found[3] or 1)


def _times(found: re.Match[str]) -> str:
    if found[2] in ("?", "*"):
        return ""
    return found[1] * int(found[3] or 1)
