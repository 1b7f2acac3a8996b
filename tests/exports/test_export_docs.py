"""The page about exports: it names every target, and each command of Sentinel's that it shows is run here as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from sentinel.cli import exchange
from sentinel.cli.rules import rules
from sentinel.signatures import exports
from tests.exports import cases

pytestmark = pytest.mark.integration  # the whole catalog, through other people's parsers, takes seconds

PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text()
COMMANDS = [found for found in re.findall(r"`sentinel rules ((?:export|import) [^`]*)`", PAGE) if "TARGET" not in found]


@pytest.mark.parametrize("target", exports.names())
def test_every_target_is_in_the_table_and_has_its_command(target):
    """Whoever has the tool shall find how it takes the file."""
    assert f"| `{target}` |" in PAGE
    assert any(command.startswith(f"export {target}") for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_page_works_as_it_is_written(command, tmp_path, monkeypatch):
    """It is copied from there; only where it writes and what it reads are put in."""
    monkeypatch.setattr(exchange, "load_rules", lambda _folders: cases.catalog())
    shared = tmp_path / "shared.json"
    shared.write_text(cases.text("stix"))
    words = shlex.split(command.replace("URL", "https://lists.example/").partition(" > ")[0])
    words = [str(shared) if word == "FILE" else word for word in words]
    if "--to" in words:
        words[words.index("--to") + 1] = str(tmp_path / "written")
    done = CliRunner().invoke(rules, words)
    assert done.exit_code == 0, done.output
    assert list((tmp_path / "written").iterdir()) if "--to" in words else done.stdout


def test_the_options_are_documented():
    """--help says what there is, the page what it is for."""
    for option in ("--to", "--category", "--date", "--rules", "--reference", "--id", "--name", "--severity"):
        assert option in PAGE
