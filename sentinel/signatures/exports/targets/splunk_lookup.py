"""A Splunk lookup whose first column is matched with wildcards, and the stanza that says so.

Reference: https://docs.splunk.com/Documentation/Splunk/latest/Admin/Transformsconf
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from sentinel.signatures.exports.entry import Entry
from sentinel.signatures.exports.target import About, Target

COLUMNS = ("match", "kind", "service", "service_name", "category", "severity", "confidence", "stage", "reference")

STANZA = """
[sentinel_face_search]
filename = sentinel_face_search.csv
match_type = WILDCARD(match)
case_sensitive_match = false
max_matches = 1
"""


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return the table, and the stanza, whose comment is the header: a table has none."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(dict.fromkeys(row for entry in entries for row in _rows(entry)))
    return {"sentinel_face_search.csv": table.getvalue(), "transforms.conf": about.comment("#") + STANZA}


def _rows(entry: Entry) -> Iterator[tuple[str, ...]]:
    service = entry.service
    reference = next(iter(service.references), "")
    for match in _matches(entry):
        yield (
            match, entry.kind, service.id, service.name, service.category, entry.severity, entry.confidence,
            entry.indicator.stage, reference,
        )  # fmt: skip


def _matches(entry: Entry) -> Iterator[str]:
    if entry.kind == "mail_from":
        yield from (f"*@{entry.name}", f"*@*.{entry.name}")
    elif entry.kind == "url":
        url = f"{entry.name}{entry.url.path}"
        yield from (url, f"{url}?*", f"{url}/*")
    else:
        yield entry.name
        if entry.kind == "domain":
            yield f"*.{entry.name}"


def _refuses(entry: Entry) -> str | None:
    if entry.kind != "url":
        return None
    if not (entry.url.host and entry.url.path and entry.url.shared):
        return "a row is a literal host and path, and all below it"
    return "a row knows no method and no single parameter" if entry.url.methods or entry.url.query else None


TARGET = Target(
    title="Splunk lookup",
    reference="https://docs.splunk.com/Documentation/Splunk/latest/Admin/Transformsconf",
    write=write,
    leaves={"host_pattern": "a lookup's * crosses dots", "app": "no traffic shows an app's id"},
    refuses=_refuses,
)
