"""Records as JSON and back, exactly: times as ISO 8601 in UTC with microseconds and a Z, enums as words, raw bytes apart.

A field that is None is left out. Decoding sets the fields as they were written and does not run `__post_init__` again:
"example.." loses one final dot when it is observed, and must not lose another each time it is read.
"""

from __future__ import annotations

import json
import types
import typing
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from sentinel.terms import Severity, Stage

T = TypeVar("T")
Convert = Callable[[Any], Any]


def stamp(time: datetime) -> str:
    """Return *time* in UTC as 27 characters that sort as the times do: `2024-05-01T12:00:00.000000Z`.

    Raises:
        ValueError: It has no zone.
    """
    if time.tzinfo is None:
        raise ValueError("a time that is kept has a zone")
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def unstamp(text: str) -> datetime:
    """Return the time that `stamp` wrote."""
    return datetime.fromisoformat(text)


def dumps(record: Any) -> str:
    """Return a dataclass as one line of ASCII JSON, its `bytes` fields left out: the store keeps those as they are."""
    return json.dumps(_to_json(record), sort_keys=True, separators=(",", ":"))


def loads(kind: type[T], text: str, **apart: Any) -> T:
    """Return the *kind* that `dumps` wrote, with the fields that were left *apart*."""
    return typing.cast(T, _from_json(kind, json.loads(text), apart))


def _to_json(record: Any) -> dict[str, Any]:
    found = {}
    kind: Any = type(record)
    for field, encode, _decode in _plan(kind):
        value = getattr(record, field.name)
        if value is not None and not isinstance(value, bytes):
            found[field.name] = encode(value)
    return found


def _from_json(kind: type[Any], found: dict[str, Any], apart: dict[str, Any]) -> Any:
    record = object.__new__(kind)
    planned: Any = kind
    for field, _encode, decode in _plan(planned):
        if field.name in apart:
            value = apart[field.name]
        elif field.name in found:
            value = decode(found[field.name])
        else:
            value = _default(field)
        object.__setattr__(record, field.name, value)
    return record


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return None if field.default is MISSING else field.default


@cache
def _plan(kind: Hashable) -> list[tuple[Field[Any], Convert, Convert]]:
    record: Any = kind
    hints = typing.get_type_hints(record)
    return [(field, *_converters(hints[field.name])) for field in fields(record)]


def _converters(hint: Any) -> tuple[Convert, Convert]:
    """Return how a value of the type *hint* is written and read."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (hint,) = (one for one in typing.get_args(hint) if one is not type(None))
    made: Any = typing.get_origin(hint) or hint
    if made is datetime:
        return stamp, unstamp
    if made in (Stage, Severity):
        return (lambda value: value.word), made.of
    if made in (tuple, list):
        return list, made
    if made in (dict, Counter):
        return dict, made
    if isinstance(made, type) and issubclass(made, StrEnum):
        return str, made
    if is_dataclass(made):
        nested: Any = made
        return _to_json, lambda found: _from_json(nested, found, {})
    return _same, _same


def _same(value: Any) -> Any:
    return value
