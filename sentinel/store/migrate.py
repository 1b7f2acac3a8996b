"""Brings a store's tables to the shape that this version knows."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from sentinel.store.schema import REVISION
from sentinel.store.step import UnusableStoreError

SCRIPTS = Path(__file__).parent / "migrations"


class NewerStoreError(UnusableStoreError):
    """The store was written by a version of Sentinel that knows more than this one."""


def revision_of(connection: Connection) -> str | None:
    """Return the revision that a store's tables have, None for an empty store."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def migrate(connection: Connection, revision: str = REVISION) -> None:
    """Run the migrations up to *revision* inside the connection's transaction.

    Raises:
        NewerStoreError: Its revision is none of ours; nothing was changed.
    """
    # Imported when needed: it takes as long as all of the store's other code, and most starts find nothing to do.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    have = revision_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if have is not None and have not in known:
        raise NewerStoreError(
            f"the store has revision {have}, and this version of Sentinel knows up to {REVISION}: "
            "a newer version wrote it. Nothing was changed; use that version, or another store."
        )
    command.upgrade(config, revision)
