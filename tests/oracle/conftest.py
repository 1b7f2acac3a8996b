"""What meets browsers and network namespaces carries the marker that `tests/run --quick` leaves out; kept captures do not."""

from __future__ import annotations

from pathlib import Path

import pytest

QUICK = {"test_oracle_kept"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests, so that none can be forgotten."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.stem not in QUICK:
            item.add_marker("integration")
