"""`python -m sentinel.formats.mapping.bundle` checks the built-in mappings and writes the file that is read at start."""

from __future__ import annotations

import json
from pathlib import Path

from sentinel.formats.mapping import BUNDLE
from sentinel.formats.mapping.file import load_mappings

MAPPINGS = Path(__file__).parents[1] / "mappings"


def bundled() -> str:
    """Return all built-in mappings as JSON, one a line.

    Raises:
        Problems: Every mistake in them.
    """
    lines = (json.dumps(spec, separators=(",", ":"), ensure_ascii=False) for spec in load_mappings([MAPPINGS]))
    return "[\n" + ",\n".join(lines) + "\n]\n"


if __name__ == "__main__":
    BUNDLE.write_text(bundled(), encoding="utf-8")
