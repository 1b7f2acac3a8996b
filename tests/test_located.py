"""Mistakes in a file: each is named with file, line and mend, and all of them at once."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from sentinel.located import load, validate
from sentinel.problems import Problems


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    timeout_secs: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    sinks: list[Inner] = []


def problems(tmp_path, text, model=Outer):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(Problems) as caught:
        validate(model, path)
    return caught.value.problems


def test_every_mistake_is_named_at_once_with_its_line(tmp_path):
    """A person who mends a file wants one round, not five."""
    found = problems(tmp_path, "nam: x\nsinks:\n  - timeout_secs: soon\n  - timeout_sec: 3\n")
    assert [problem.line for problem in sorted(found, key=lambda p: p.line)] == [1, 1, 3, 4]
    assert any("'name' is missing" in problem.what for problem in found)


def test_a_misspelt_key_comes_with_the_word_that_was_meant(tmp_path):
    """Between 'unknown key' and the documentation lies an hour of somebody's evening."""
    found = problems(tmp_path, "name: x\nsinks:\n  - timeout_sec: 3\n")
    assert [(p.line, p.mend) for p in found] == [(3, "Did you mean 'timeout_secs'?")]


def test_a_key_given_twice_is_a_mistake(tmp_path):
    """PyYAML silently keeps the last, so that half of a policy would be gone."""
    (problem,) = problems(tmp_path, "name: x\nname: y\n")
    assert (problem.line, "given twice" in problem.what) == (2, True)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "\tname: x",
        "!!python/object/apply:os.system ['true']",
        "name: \x00",
        "a: &a [x]\nb: *c",
        "? [1, 2]\n: 3",
        "name: !!bool maybe",
        "name: !!int ''",
        "name: !!timestamp soon",
        "name: !!float x",
        "name: 2026-99-99",
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_words(tmp_path, text):
    """Broken syntax, code in tags, unknown aliases: never a traceback, never run."""
    assert problems(tmp_path, text)


def test_a_yaml_bomb_is_refused(tmp_path):
    """Nine nested aliases of nine are a third of a billion nodes."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"] + [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    (problem,) = problems(tmp_path, "\n".join(lines))
    assert "beyond measure" in problem.what


def test_a_missing_file_is_named(tmp_path):
    """The path is what the reader has to mend."""
    with pytest.raises(Problems, match=r"nowhere\.yaml: cannot be read"):
        load(tmp_path / "nowhere.yaml")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_model_or_problems(tmp_path_factory, data):
    """Whatever a file holds, the answer is a value or words."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    with contextlib.suppress(Problems):
        assert isinstance(validate(Outer, path), Outer)
