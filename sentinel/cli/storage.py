"""Opens the store that a question is put to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sentinel.store.store import Store


@contextmanager
def open_store(config: Path | None, store: Path | None) -> Iterator[Store]:
    """Open the store named by *store*, else by the settings file.

    Raises:
        click.BadParameter: Neither is given, or there is no such store: asking must not create one.
    """
    from sentinel.store.store import Store, url_of

    if store is None and config is None:
        raise click.BadParameter("name the settings file with --config, or the store with --store")
    store = store / "case.db" if store and store.is_dir() else store  # a case is named by its folder
    url = url_of(str(store), Path.cwd()) if store else _configured(config)
    path = url.removeprefix("sqlite:///")
    if url.startswith("sqlite") and not Path(path).exists():
        raise click.BadParameter(f"{path}: there is no store yet")
    opened = Store.open(url)
    try:
        yield opened
    finally:
        opened.close()


def _configured(config: Path | None) -> str:
    from sentinel.config.loading import load
    from sentinel.store.step import url_of

    assert config is not None
    return url_of(load(config).settings.store, config.resolve().parent)
