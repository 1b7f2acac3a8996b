"""The chain: what was changed, removed or put in is named."""

import sqlite3

import pytest

from sentinel.store.chain import CHAINED, START, Broken, Head, chain_hash
from sentinel.store.store import Store
from tests.store.made import step


@pytest.fixture
def kept(tmp_path):
    """A store of five findings, closed."""
    path = tmp_path / "state.db"
    store = Store.open(f"sqlite:///{path}")
    for number in range(1, 6):
        store.commit(step(number))
    store.close()
    return path


def verify(path, *statements):
    """Run SQL past the store, as an intruder does, and return what the store says then."""
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    store = Store.open(f"sqlite:///{path}")
    try:
        return store.verify_chain()
    finally:
        store.close()


def test_an_untouched_chain_is_whole(kept):
    """Nobody is accused without cause; an empty one is whole as well."""
    assert verify(kept) is None
    empty = Store.memory()
    assert empty.verify_chain() is None
    assert empty.head() == Head(0, START)
    empty.close()


@pytest.mark.parametrize("column", [*(name for name in CHAINED if name != "seq"), "hash"])
@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_change_of_any_column_is_named(kept, column, seq):
    """Of the first, a middle and the last row, and though the value becomes text where it was bytes."""
    broken = verify(kept, f"UPDATE findings SET {column} = {column} || 'x' WHERE seq = {seq}")
    assert broken.seq == seq
    assert broken.id == (f"fi_{seq}x" if column == "id" else f"fi_{seq}")


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_a_row_that_is_gone_is_named(kept, seq):
    """The last one too, which the rows alone would not show."""
    broken = verify(kept, "PRAGMA foreign_keys=OFF", f"DELETE FROM findings WHERE seq = {seq}")
    assert (broken.seq, broken.id) == (seq, None)


def test_a_row_that_was_put_in_is_named(kept):
    """Evidence that no commit wrote is forged."""
    copied = "service, time, origin, sha256, body, raw"
    broken = verify(
        kept,
        f"INSERT INTO findings (seq, id, {copied}, previous, hash) "
        f"SELECT 6, 'new', {copied}, hash, 'h' FROM findings WHERE seq = 5",
    )
    assert (broken.seq, broken.id) == (6, "new")


def test_a_last_row_that_was_hashed_anew_is_named(kept):
    """Its hash fits, and is not the one that was committed."""
    with sqlite3.connect(kept) as connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM findings WHERE seq = 5").fetchone())
        hashed = chain_hash(row | {"service": "other"})
    connection.close()
    broken = verify(kept, f"UPDATE findings SET service = 'other', hash = '{hashed}' WHERE seq = 5")
    assert broken == Broken(5, "fi_5", "its hash is not the one that the last commit left")


def test_the_encoding_tells_neighbouring_columns_apart():
    """Moving letters from one column to the next must not leave the hash alone."""
    row = dict.fromkeys(CHAINED, "") | {"seq": 1, "raw": b""}
    assert chain_hash(row | {"id": "ab", "service": "c"}) != chain_hash(row | {"id": "a", "service": "bc"})


def test_the_encoding_is_the_documented_one():
    """Others verify an exported chain by the docstring alone; a change would break what was exported."""
    row = dict.fromkeys(CHAINED, "é") | {"seq": 12, "raw": b"\xff", "previous": START}
    import hashlib

    e = "2:é,".encode()
    expected = b"2:12," + e * 5 + e + b"1:\xff," + b"64:" + START.encode() + b","
    assert chain_hash(row) == hashlib.sha256(expected).hexdigest()
