"""Rule sets beside the findings they made: their content comes back to the letter, however large."""

import hashlib
import json

import pytest

from sentinel.store.store import Store
from sentinel.store.writing import LARGE
from tests.store.made import step


@pytest.mark.parametrize("names", [3, LARGE // 10])
def test_a_rule_set_comes_back_to_the_letter(tmp_path, names):
    """Its digest names it in every finding: one character less and nobody could make the finding again."""
    text = json.dumps([{"id": "list", "names": "".join(f"name{number}.example\n" for number in range(names)), "note": "é\\\n"}])
    digest = hashlib.sha256(text.encode()).hexdigest()
    store = Store.open(f"sqlite:///{tmp_path}/state.db")
    made = step(1)
    store.commit(type(made)(findings=made.findings, sessions=made.sessions, ruleset=(digest, text)))
    store.commit(type(made)(ruleset=(digest, text)))
    assert store.rulesets() == {digest: text}
    store.close()
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 400_000 + len(text) / 2
