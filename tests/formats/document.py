"""Writes the table of docs/formats.md from the formats themselves: `python -m tests.formats.document`."""

from __future__ import annotations

from pathlib import Path

from sentinel.formats import FORMATS

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
BEGIN, END = "<!-- begin: made by python -m tests.formats.document -->\n", "<!-- end -->"


def table() -> str:
    """Return the table: a row for each format."""
    rows = ["| format | | reads | yields | tested with | since |", "| --- | --- | --- | --- | --- | --- |"]
    for name, one in sorted(FORMATS.items()):
        yields = ", ".join(f"`{kind}`" for kind in one.yields)
        title = one.title.replace("|", "\\|")
        rows.append(f"| `{name}` | {one.made_as} | [{title}]({one.reference}) | {yields} | {one.tested_with} | {one.since} |")
    return "\n".join(rows) + "\n"


def page() -> str:
    """Return the page with the table as it has to be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
