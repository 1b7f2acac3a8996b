"""How a host name may stand in a record, as needles for the scanner.

The needles of a spelling find a superset of what the exact match accepts after the format has read the record: never less.
"""

from __future__ import annotations

import re

LDH = rb"2[d-f]|3[0-9]|[46][1-9a-f]|5[0-9af]|7[0-9a]"
"""Hex codes of the characters of a host name: letters, digits, hyphen, dot, underscore; and of the slash in a path."""

ESCAPES = {
    "plain": [],
    # No JSON writer escapes these, but a reader has to accept it: such a record is a candidate whatever it spells.
    "json": [rb"\\u00(?:" + LDH + rb")"],
    "zeek": [rb"\\x(?:" + LDH + rb")"],
    "percent": [rb"%(?:" + LDH + rb")"],
    "labels": [],
}


def _rare_end(name: str) -> str:
    """Return *name* without what most names end in: Hyperscan looks for the ends of literals, and ".com" is in every line."""
    rest, _dot, last = name.rpartition(".")
    return f"{rest}.{last[:2]}"


def _counted(name: str) -> bytes:
    """Return *name* as Windows DNS writes it, each label but the first behind its length: `clearview(2)ai`."""
    first, *others = name.encode().split(b".")
    return re.escape(first + b"".join(b"(%d)%s" % (len(label), label) for label in others))


def needles(names: list[str], paths: list[str], spelling: str) -> list[bytes]:
    """Return regular expressions, to be matched in any ASCII case, for *names* (hosts) and *paths* (literal) in a spelling."""
    # JSON may stand in a text of JSON, and then escapes what the inner one escaped.
    slash = rb"\\{0,3}/" if spelling == "json" else b"/"
    found = [re.escape(_rare_end(name)).encode() for name in names]
    if spelling == "labels":
        found += [_counted(name) for name in names]
    found += [slash.join(re.escape(part).encode() for part in path.split("/")) for path in paths]
    return found + ESCAPES[spelling]
