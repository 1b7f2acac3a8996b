"""Takes a STIX pattern apart into alternatives, each of comparisons that must all hold of one observation.

It is the grammar's part that indicators of names, URLs and requests are written in; anything else is `Unreadable`, with the
word that was met. Reference: STIX 2.1, section 9.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

TOKEN = re.compile(
    r"\s*(?:('(?:[^'\\]|\\.)*')|(\[|\]|\(|\)|,|!=|<=|>=|=|<|>)|([A-Za-z0-9_:.'*-]+(?:\[[^\]]*\][A-Za-z0-9_.'-]*)*))", re.DOTALL
)

MOST = 10_000
"""Alternatives of one pattern: AND over OR multiplies them."""

DEEPEST = 50
"""Brackets within brackets."""


class Unreadable(Exception):
    """A pattern that is none, or uses what is not read here."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One property of an observation, how it is compared, and with what."""

    path: str
    op: str
    value: str


Alternatives = list[tuple[Comparison, ...]]


def alternatives(pattern: str) -> Alternatives:
    """Return what a pattern asks for.

    Raises:
        Unreadable: As the class says.
    """
    reader = _Reader(list(_tokens(pattern)))
    found = reader.observations()
    reader.end()
    return found


def _tokens(pattern: str) -> Iterator[str]:
    at = 0
    text = pattern.rstrip()
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise Unreadable(f"no token at {text[at : at + 20]!r}")
        yield found[0].strip()
        at = found.end()


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def observations(self) -> Alternatives:
        found = self._observation()
        while self._peek() == "OR":
            self._next()
            found += self._observation()
        return found

    def end(self) -> None:
        if self._peek():
            raise Unreadable(f"{self._peek()!r} joins or bounds observations")

    def _observation(self) -> Alternatives:
        self._expect("[")
        found = self._any()
        self._expect("]")
        return found

    def _any(self) -> Alternatives:
        found = self._all()
        while self._peek() == "OR":
            self._next()
            found = _few(found + self._all())
        return found

    def _all(self) -> Alternatives:
        found = self._one()
        while self._peek() == "AND":
            self._next()
            more = self._one()
            if len(found) * len(more) > MOST:
                raise Unreadable(f"it has more than {MOST} alternatives")
            found = [left + right for left, right in itertools.product(found, more)]
        return found

    def _one(self) -> Alternatives:
        if self._peek() == "(":
            self._depth += 1
            if self._depth > DEEPEST:
                raise Unreadable(f"it nests deeper than {DEEPEST}")
            self._next()
            found = self._any()
            self._expect(")")
            self._depth -= 1
            return found
        path, op = self._next(), self._next()
        if ":" not in path:
            raise Unreadable(f"{path!r} is no property of an observation")
        if op == "IN":
            return [(Comparison(path, "=", value),) for value in self._values()]
        if op not in ("=", "LIKE", "MATCHES"):
            raise Unreadable(f"it compares with {op!r}")
        return [(Comparison(path, op, self._value()),)]

    def _values(self) -> Iterator[str]:
        self._expect("(")
        yield self._value()
        while self._peek() == ",":
            self._next()
            yield self._value()
        self._expect(")")

    def _value(self) -> str:
        token = self._next()
        if not token.startswith("'"):
            raise Unreadable(f"{token!r} is no text")
        return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise Unreadable("it ends in the middle")
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        found = self._next()
        if found != token:
            raise Unreadable(f"{found!r} instead of {token!r}")


def _few(found: Alternatives) -> Alternatives:
    if len(found) > MOST:
        raise Unreadable(f"it has more than {MOST} alternatives")
    return found
