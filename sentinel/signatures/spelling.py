"""How a host name may stand in a record, as needles for the scanner.

The needles of a spelling find a superset of what the exact match accepts after the format has read the record: never less.
"""

from __future__ import annotations

import itertools
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
    "wire": [],
}

# A query's "=", unlike what a host name is made of, is escaped by writers that people use (Gson does, for HTML's sake).
EQUALS = {"json": rb"(?:=|\\{1,3}u003d)", "zeek": rb"(?:=|\\x3d)", "percent": rb"(?:=|%3d)"}

LONG = 8
"""Characters from which on a piece of a name or path is rare enough to stand for the whole."""

WORD = 12
"""Characters from which on a piece of a path is seldom a word that other paths hold too."""


def fixed_part(pattern: str) -> str:
    """Return the labels of a host pattern behind its last star: `amazonaws.com` of `rekognition.*.amazonaws.com`."""
    return pattern.rpartition("*")[2].partition(".")[2]


def fits(pattern: str, name: str) -> bool:
    """Return whether each label of *name* is the pattern's, where a star stands for one character or more of its label."""
    if pattern == "*":
        return True
    wanted, labels = pattern.split("."), name.split(".")
    return len(wanted) == len(labels) and all(map(_label_fits, wanted, labels))


def _label_fits(wanted: str, label: str) -> bool:
    before, star, after = wanted.partition("*")
    if not star:
        return label == wanted
    return len(label) > len(before) + len(after) and label.startswith(before) and label.endswith(after)


def asked(wanted: tuple[str, ...], query: str) -> bool:
    """Return whether a URL's query has the parameters: `name=value` as it stands, `name=` with any value but an empty one."""
    given = query.split("&")
    return all(
        any(one.startswith(want) and one != want for one in given) if want[-1] == "=" else want in given for want in wanted
    )


def rare_piece(pattern: str) -> str:
    """Return the piece of a host pattern between stars that few other names hold.

    `-face-search.hf.space` is rarer than `hf.space`, and `rekognition` rarer than `amazonaws.com`.
    """
    pieces = [piece.strip(".") for piece in pattern.split("*")]
    *others, last = pieces
    if last != fixed_part(pattern):
        return last
    return max((piece for piece in others if len(piece) >= LONG), key=len, default=last)


def needles(names: list[str], paths: list[str], queries: list[str], spelling: str) -> list[bytes]:
    """Return regular expressions, to be matched in any ASCII case, in a spelling.

    *names* are hosts, *paths* literal beginnings of paths, and *queries* parameters of a URL's query.
    """
    pieces = [name for name in names if "." not in name]
    names = [name for name in names if not any(piece in name and piece != name for piece in pieces)]
    paths, queries = _shortest(paths), _shortest(queries)
    if spelling == "wire":
        return [_labelled(name) for name in names]
    found = [re.escape(end).encode() for end in dict.fromkeys(map(_rare_end, names))]
    if spelling == "labels":
        found += [_counted(name) for name in names]
    found += [_path(path, spelling) for path in paths]
    equals = EQUALS.get(spelling, b"=")
    found += [equals.join(re.escape(part).encode() for part in query.split("=")) for query in queries]
    return found + ESCAPES[spelling]


def _shortest(texts: list[str]) -> list[str]:
    """Return those of *texts*, few, that do not begin with another: what holds them holds it."""
    return [text for text in texts if not any(text != other and text.startswith(other) for other in texts)]


def _rare_end(name: str) -> str:
    """Return *name* without what most names end in: Hyperscan looks for the ends of literals, and ".com" is in every line.

    Of a short one enough is left, since what is shorter than eight bytes is looked for less surely, and checked more often.
    """
    rest, dot, last = name.rpartition(".")
    return f"{rest}.{last[: max(2, LONG - 1 - len(rest))]}" if dot else name


def _counted(name: str) -> bytes:
    """Return *name* as Windows DNS writes it, each label but the first behind its length: `clearview(2)ai`."""
    first, *others = name.encode().split(b".")
    return re.escape(first + b"".join(b"(%d)%s" % (len(label), label) for label in others))


def _labelled(name: str) -> bytes:
    """Return *name* as DNS messages hold it: each label behind its length, or a pointer to where the rest stands.

    What stands before the first label, and behind the last, may be more of a longer name.
    """
    first, *others = name.encode().split(b".")
    rest = b""
    for label in reversed(others):
        rest = rb"(?:[\xc0-\xff]|\x%02x%b%b)" % (len(label), re.escape(label), rest)
    return re.escape(first) + rest


def _path(path: str, spelling: str) -> bytes:
    if spelling != "json":
        return re.escape(path).encode()
    # JSON may escape a slash, and JSON within a text of JSON escapes what the inner one escaped. Literals compile and scan
    # several times as fast as such alternatives, so that a piece without a slash serves where one is long enough to be no
    # word, and else the two neighbours that are the longest together.
    pieces = path.split("/")
    longest = max(pieces, key=len)
    if len(longest) >= WORD:
        return re.escape(longest).encode()
    pairs = [pair for pair in itertools.pairwise(pieces) if len("".join(pair)) >= LONG]
    chosen = max(pairs, key=lambda pair: len("".join(pair)), default=tuple(pieces))
    return rb"\\{0,3}/".join(re.escape(part).encode() for part in chosen)
