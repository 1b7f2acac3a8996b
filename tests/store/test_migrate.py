"""Migrations: every store that a version of ours wrote becomes what this version knows."""

import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sentinel.store import schema
from sentinel.store.migrate import NewerStoreError, migrate, revision_of
from sentinel.store.sqlite import file_engine
from sentinel.store.store import Store
from tests.store.made import finding, step

REVISIONS = ["0001", "0002"]


def test_all_revisions_are_tried_here():
    """A new migration comes with its test."""
    assert REVISIONS[-1] == schema.REVISION


@pytest.mark.parametrize("revision", [None, *REVISIONS])
def test_a_store_of_any_revision_is_brought_up_to_date(tmp_path, revision):
    """From an empty one and from each that was released: the same tables, columns, keys and indexes as in `schema`."""
    engine = file_engine(str(tmp_path / "state.db"))
    if revision:
        with engine.execution_options(writing=True).begin() as connection:
            migrate(connection, revision)
    store = Store.open(f"sqlite:///{tmp_path}/state.db")
    store.commit(step(1))
    assert store.findings() == [finding(1)]
    store.close()
    with engine.connect() as connection:
        assert revision_of(connection) == schema.REVISION
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()


def test_a_private_store_has_the_tables_of_a_migrated_one(tmp_path):
    """It skips the migrations, and a replay must keep what the daemon keeps."""
    Store.open(f"sqlite:///{tmp_path}/state.db").close()
    private = Store.memory()
    plain = "lower(replace(replace(sql, char(10), ''), char(9), ''))"
    query = f"SELECT name, {plain} FROM sqlite_master WHERE name NOT LIKE '%alembic%'"
    with private._engine.connect() as connection:
        ours = {tuple(row) for row in connection.exec_driver_sql(query)}
    private.close()
    connection = sqlite3.connect(tmp_path / "state.db")
    assert ours == set(connection.execute(query))
    connection.close()


def test_a_newer_store_is_refused_in_words_and_left_alone(tmp_path):
    """After a downgrade, guessing at unknown tables would ruin evidence."""
    path = tmp_path / "state.db"
    Store.open(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    connection.close()
    with pytest.raises(NewerStoreError, match=rf"revision 0999.*knows up to {REVISIONS[-1]}.*newer version"):
        Store.open(f"sqlite:///{path}")
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0999",)
    connection.close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path):
    """Half of the tables would fit no version."""
    engine = file_engine(str(tmp_path / "state.db"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE inputs (mine TEXT)")  # in the way of the last tables
    with pytest.raises(Exception, match="inputs already exists"):
        with engine.execution_options(writing=True).begin() as connection:
            migrate(connection)
    with engine.connect() as connection:
        names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
    assert names == ["inputs"]
    engine.dispose()
