"""docs/signatures.md: a stranger who follows it gets what it says."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from sentinel.cli.rules import rules
from sentinel.signatures.file import IndicatorEntry, Role, UrlEntry
from sentinel.signatures.service import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "signatures.md").read_text(encoding="utf-8")
FILES = re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [
    (command, said.splitlines())
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for command, said in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]
LIST = "pimeyes.com\nfaces-anywhere.example\nhuggingface.co\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A stranger's folder, with the files that the page has them write."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "found-on-a-list.txt").write_text(LIST)
    return tmp_path


def uncounted(line):
    """Return a line without the counts of the built-in catalog, which grows."""
    return re.sub(r"^\d+ services(, \d+ cases, \d+ of)?", "", line)


def test_the_page_shows_files_and_commands():
    """A page whose examples are not found by this test would go unproven."""
    assert len(FILES) == 1
    assert {command.split()[2] for command, _said in COMMANDS} == {"explain", "coverage", "test", "show", "lint"}


@pytest.mark.parametrize(("command", "said"), COMMANDS, ids=[command for command, _said in COMMANDS])
@pytest.mark.usefixtures("folder")
def test_a_command_of_the_page_says_what_the_page_shows(command, said):
    """What a reader sees differ is taken for a mistake of theirs."""
    done = CliRunner().invoke(rules, shlex.split(command)[2:], catch_exceptions=False)
    assert done.exit_code == 0
    if "..." not in said:
        assert [uncounted(line) for line in done.output.splitlines()] == [uncounted(line) for line in said]
    for part in "\n".join(said).split("\n...\n"):
        assert part.rstrip(".").strip() in done.output


def test_every_part_of_a_signature_is_on_the_page():
    """A key that nobody knows of is not used."""
    words = set(re.findall(r"`([a-z_-]+)(?:: [a-z|]+)?`", PAGE))
    assert set(KINDS) <= words
    assert (set(IndicatorEntry.model_fields) | set(UrlEntry.model_fields)) - {"shared"} <= words | {"shared"}
    assert set(Role.__args__) <= words


def test_the_entries_for_shared_hosts_load():
    """They are the ones that are easily written wrongly."""
    (block,) = re.findall(r"```yaml\n(- \{url.*?)```", PAGE, re.DOTALL)
    entries = [IndicatorEntry.model_validate(one) for one in yaml.safe_load(block)]
    assert [entry.url.shared for entry in entries] == [True] * 3
