"""Where rules lie."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def builtin_rules() -> Path:
    """Return the folder of the built-in catalog: inside the package once installed, beside it in a checkout."""
    inside = PACKAGE / "rules"
    return inside if inside.is_dir() else PACKAGE.parent / "rules"


def files_in(folder: Path) -> list[Path]:
    """Return the service files of a folder, always in the same order."""
    return sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")])
