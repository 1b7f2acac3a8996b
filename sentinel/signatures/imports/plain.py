"""A plain list: names, hosts files, filter lists and CSV, by line. A line with a path is a request, never its site."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sentinel.signatures.imports.item import Refused, Taken, of_url
from sentinel.signatures.lists import Unread, names_in

# What stands behind a host: a path or a query that is more than a slash.
BEHIND = re.compile(r"(?:\A|//|\|)[\w.-]+\.[A-Za-z][\w-]*(?::\d+)?[/?][^\s^$,;]|https?://[^/\s]+/[^\s^$,;]")


def read(data: bytes) -> Iterator[Taken | Refused]:
    """Yield what each line says. A name stands for itself and all below it.

    Raises:
        ValueError: It is no text.
    """
    for number, line in enumerate(data.decode("utf-8-sig").splitlines(), 1):
        where = f"line {number}"
        for one in names_in([line]):
            if isinstance(one, Unread):
                yield Refused(where, one.why)
                continue
            cell = _cell(line, one.name)
            yield _request(where, cell) if BEHIND.search(cell) else Taken(where, {"domain": one.name, "stage": "contact"})


def _cell(line: str, name: str) -> str:
    """Return the cell of a line that gave a name."""
    plain = line.partition(" #")[0].replace("[.]", ".").replace("(.)", ".").replace("hxxp", "http")
    cells = (cell.strip().strip('"') for cell in re.split(r"[,;\t]", plain))
    return next((cell for cell in cells if name in cell.lower()), plain)


def _request(where: str, cell: str) -> Taken | Refused:
    if re.search(r"\s", cell):
        return Refused(where, "a URL with a blank in it")
    return of_url(where, re.split(r"[\^$]", cell.lstrip("|"))[0])
