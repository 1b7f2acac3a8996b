"""Opens the store that a question is put to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from sentinel.config.loading import load
from sentinel.store.store import Store, url_of


@contextmanager
def open_store(config: Path | None, store: Path | None) -> Iterator[Store]:
    """Open the store named by *store*, else by the settings file.

    Raises:
        typer.BadParameter: Neither is given, or there is no such store: asking must not create one.
    """
    if store is None and config is None:
        raise typer.BadParameter("name the settings file with --config, or the store with --store")
    url = url_of(str(store), Path.cwd()) if store else url_of(load(config).settings.store, config.resolve().parent)  # type: ignore[arg-type,union-attr]
    path = url.removeprefix("sqlite:///")
    if url.startswith("sqlite") and not Path(path).exists():
        raise typer.BadParameter(f"{path}: there is no store yet")
    opened = Store.open(url)
    try:
        yield opened
    finally:
        opened.close()
