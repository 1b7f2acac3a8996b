"""Which of a record's values are its fields' own, where a text that a client chose may look like a field.

    requestClientApplication=Mozilla/5.0 suser=alice src=10.9.9.9 reason=- request=http://example.org/

Here everything behind the user agent may be a piece of it: who the client was is only what stands ahead of it. A text is
*closed* when its writer could not have let it go on as another field: it stands in quotes whose like inside are escaped, the
field follows that the product always writes next, or a line of CSV has exactly as many cells as it has columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from sentinel.formats.mapping.shapes import Row, Said, Twice, texts
from sentinel.formats.pattern import Pattern

_TEXT = Pattern(
    r"(?:ur[li]s?|agent|clientapplication|referr?er|cookies?|query|path|(?<!pro)file|filename|msg|message|request|requestcontext"
    r"|subject|comments?|description|desc|xff|forwarded|forwarded.?for|title|text|search|params?|headers?|payload|sni|qname"
    r"|content.?type|attachments?|args?|(?:\A|[^a-z])(?:ref|ua|fname|mime)|\Acs[1-6]|flexstring[12])\Z",
    re.ASCII | re.IGNORECASE,
)
"""How fields are called that hold what a client chose, in a log of whatever product."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one record says under its keys: ahead of the first text that is not closed, and behind it.

    `text` is the key of that text, None when all of them are closed. Of JSON, whose texts are, `ahead` is None.
    """

    row: Row
    ahead: Mapping[str, tuple[str, ...]] | None
    behind: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    text: str | None = None

    def own(self, key: str) -> tuple[list[str], bool]:
        """Return what a field surely says itself, and whether it says different things."""
        if self.ahead is None:
            value = self.row.get(key)
            return texts(value), isinstance(value, Twice)
        return _first(self.ahead, key)

    def perhaps(self, key: str) -> tuple[list[str], bool]:
        """Return what stands under a key only where a text may have put it, and whether different things do."""
        return ([], False) if self.ahead is None or _first(self.ahead, key)[0] else _first(self.behind, key)

    def one(self, key: str) -> list[str]:
        """Return what a field says itself, or what stands under its key once only; nothing when that is different things."""
        found, _differ = self.own(key)
        if found:
            return [] if isinstance(self.row.get(key), Twice) else found
        found, differ = self.perhaps(key)
        return [] if differ else found


def _first(said: Mapping[str, tuple[str, ...]], key: str) -> tuple[list[str], bool]:
    for one in key.split(" | "):
        if one in said:
            return list(said[one]), len(said[one]) > 1
    return [], False


@dataclass(frozen=True, slots=True)
class Belief:
    """What is known of how a product writes texts.

    texts: fields that hold what a client chose.
    known: fields that the mapping reads otherwise; of the rest, names tell which hold such a text.
    followed_by: what the product always writes directly behind a text.
    sorted_after: the field behind which all are sorted by name.
    """

    texts: frozenset[str]
    known: frozenset[str]
    followed_by: Mapping[str, str]
    sorted_after: str | None

    def told(self, row: Row) -> Told:
        """Return what *row* says, parted at the first text that is not closed."""
        if row.said is None:
            return Told(row, None)
        end = self._first_open(row.said)
        ahead, behind = _gathered(row.said[: end + 1]), _gathered(row.said[end + 1 :])
        return Told(row, ahead, behind, row.said[end].key if end < len(row.said) else None)

    def _first_open(self, said: tuple[Said, ...]) -> int:
        for at, one in enumerate(said):
            if not one.closed and self._is_text(one.key) and not self._is_followed(said, at):
                return len(said) if self._is_sorted(said, at) else at
        return len(said)

    def _is_text(self, key: str) -> bool:
        return key in self.texts or (key not in self.known and _TEXT.search(key) is not None)

    def _is_followed(self, said: tuple[Said, ...], at: int) -> bool:
        # Whoever writes the next field into a text has it twice then, as the product writes it too.
        follows = self.followed_by.get(said[at].key)
        if follows is None or at + 1 == len(said) or said[at + 1].key != follows:
            return False
        return sum(one.key == follows for one in said) == 1

    def _is_sorted(self, said: tuple[Said, ...], at: int) -> bool:
        # What a text adds is followed by the product's own next field, which comes ahead of it by name.
        begin = next((n for n, one in enumerate(said) if one.key == self.sorted_after), len(said))
        keys = [one.key for one in said[begin + 1 :]]
        return begin < at < len(said) - 1 and all(one < other for one, other in pairwise(keys))


def _gathered(said: Iterable[Said]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for one in said:
        held = found.get(one.key, ())
        if one.value not in held and len(held) < MOST_TIMES:
            found[one.key] = (*held, one.value)
    return found


MOST_TIMES = 64
"""Values of one key that are kept: a record may be a megabyte of one key."""
