"""Lists of names that others keep, taken as services: threat intelligence as plain text, MISP events or STIX bundles.

A name of a list stands for itself and everything below it. What names a page or an address instead of a site is left out, and
counted: the site around a page is not what the list is about. References: https://www.misp-project.org/datamodels/ (attributes
of the types `domain`, `hostname` and `domain|ip`, with `to_ids`); STIX 2.1, section 9 (patterns that compare
`domain-name:value`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sentinel.problems import Problem, Problems
from sentinel.signatures.lists import Listed, names_in
from sentinel.signatures.names import host_problem, is_platform, is_registry
from sentinel.signatures.service import Service

FeedFormat = Literal["plain", "misp", "stix"]

LARGEST = 512 * 1024 * 1024
"""Bytes of a list that are read."""

# A canonical name, as most lists have it: checked here in one go, everything else by `names_in`.
SIMPLE = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]\Z")
COMPARISON = re.compile(r"\s*domain-name:value\s*=\s*'([^'\\]*)'\s*")


@dataclass(frozen=True, slots=True)
class Feed:
    """A list, and what it is taken for."""

    path: Path
    format: FeedFormat
    id: str
    name: str
    category: str
    severity: str
    references: tuple[str, ...] = ()


def read_feed(feed: Feed) -> Service:
    """Return the service that a list is.

    Raises:
        Problems: It cannot be read, is not of its format, or holds no name: nothing would be watched for.
    """
    try:
        with feed.path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise _problem(feed, f"cannot be read: {error.strerror}", "Check the path and the permissions.") from error
    if len(data) > LARGEST:
        raise _problem(feed, f"is larger than {LARGEST} bytes", "Is it the right file?")
    left_out: Counter[str] = Counter()
    try:
        names = set(_simple(_READERS[feed.format](data, left_out), left_out))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _problem(feed, f"is no list of the format {feed.format!r}: {error}", "Check `format`.") from error
    if not names:
        raise _problem(feed, "holds no name of a site", "Check `format`, and what wrote it.")
    from sentinel.signatures.hosts import HostList

    told = "".join(f"; {count:,} left out: {why}" for why, count in left_out.most_common(5))
    return Service.of(
        {
            "schema": 1, "id": feed.id, "name": feed.name, "category": feed.category, "severity": feed.severity,
            "confidence": "reported", "references": list(feed.references), "indicators": [],
            "note": f"a list of {len(names):,} names{told}", "names": HostList.of(names).text,
        }
    )  # fmt: skip


def _simple(names: Iterator[str], left_out: Counter[str]) -> Iterator[str]:
    """Yield names in their canonical form, those that are one already without much ado."""
    for name in names:
        if SIMPLE.match(name):
            if is_registry(name) or is_platform(name):
                left_out["everybody's names end so"] += 1
            else:
                yield name
            continue
        for found in names_in([name]):
            if isinstance(found, Listed) and host_problem(found.name) is None:
                yield found.name
            else:
                left_out["no name of a site"] += 1


def _plain(data: bytes, left_out: Counter[str]) -> Iterator[str]:
    for line in data.decode("utf-8", "replace").splitlines():
        text = line.strip()
        if "://" in text and text.partition("://")[2].partition("/")[2].strip('/"'):
            left_out["a page, not a site"] += 1
        elif text:
            yield text


def _misp(data: bytes, left_out: Counter[str]) -> Iterator[str]:
    for attribute in _attributes(json.loads(data)):
        kind, value = attribute["type"], attribute["value"]
        if attribute.get("to_ids") is False or attribute.get("deleted"):
            left_out["not for detection"] += 1
        elif kind in ("domain", "hostname"):
            yield value.strip().lower()
        elif kind == "domain|ip":
            yield value.partition("|")[0].strip().lower()
        else:
            left_out[f"of the type {kind}"] += 1


def _attributes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield the attributes of an event, of a response with many, or of a list of either."""
    for event in tree if isinstance(tree, list) else tree.get("response", [tree]):
        body = event.get("Event", event)
        yield from body.get("Attribute", [])
        for thing in body.get("Object", []):
            yield from thing.get("Attribute", [])


def _stix(data: bytes, left_out: Counter[str]) -> Iterator[str]:
    now = datetime.now(UTC)
    for thing in json.loads(data)["objects"]:
        if thing["type"] != "indicator":
            continue
        if thing.get("revoked") or thing.get("pattern_type", "stix") != "stix" or _over(thing.get("valid_until"), now):
            left_out["revoked, over, or in another language"] += 1
            continue
        values = _compared(thing["pattern"])
        if values is None:
            left_out["a pattern of more than names"] += 1
        yield from values or ()


def _over(until: str | None, now: datetime) -> bool:
    return until is not None and datetime.fromisoformat(until) <= now


def _compared(pattern: str) -> list[str] | None:
    """Return the names any one of which is the whole of what a pattern asks for; None when it asks for more or else."""
    inner = pattern.strip()
    if not (inner.startswith("[") and inner.endswith("]")) or "]" in inner[1:-1]:
        return None
    found = [COMPARISON.fullmatch(part) for part in re.split(r"\bOR\b", inner[1:-1])]
    return [one[1].lower() for one in found if one] if all(found) else None


def _problem(feed: Feed, what: str, mend: str) -> Problems:
    return Problems([Problem(str(feed.path), 0, f"the feed {feed.id!r} {what}", mend)])


_READERS: dict[FeedFormat, Callable[[bytes, Counter[str]], Iterator[str]]] = {"plain": _plain, "misp": _misp, "stix": _stix}
