"""The Zeek files: the script by Zeek's own grammar, the Intel file by its reader's rules. Zeek itself is not in Debian."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from sentinel.signatures.exports.entry import Entry, entries
from sentinel.signatures.exports.target import DETECTED
from tests.exports import cases

tree_sitter = pytest.importorskip("tree_sitter", reason="tree-sitter is not installed; tests/run gets it")
grammar = pytest.importorskip("tree_sitter_zeek", reason="tree-sitter-zeek is not installed; tests/run gets it")


@cache
def script() -> Any:
    """Return the root of the script's syntax tree."""
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    return parser.parse(cases.text("zeek", "sentinel.zeek").encode()).root_node


def strings(constant: str) -> list[str]:
    """Return the strings in the initial value of one of the script's constants."""
    found = re.search(rf"const {constant}: [^=]+ = \{{(.*?)\n\t\}}", cases.text("zeek", "sentinel.zeek"), re.DOTALL)
    assert found
    return re.findall(r'"([^"]+)"', found[1])


def taken() -> list[Entry]:
    """Return what the export says that it holds."""
    left = {entry.key for one in cases.exported("zeek").about.left for entry in one.entries}
    wanted = entries(one for one in cases.catalog().services.values() if one.category in DETECTED)
    return [entry for entry in wanted if entry.key not in left]


def rows() -> list[list[str]]:
    """Return the rows of the Intel file, without comments, as the ASCII reader takes them apart."""
    return [line.split("\t") for line in cases.text("zeek").splitlines() if not line.startswith("#")]


def test_the_script_is_one_by_zeeks_grammar():
    """A syntax error stops Zeek as a whole."""
    assert not script().has_error


def test_the_scripts_sets_are_the_catalogs_names():
    """Below `domains` all belongs to a service; a host that stands alone must not be among them."""
    assert strings("domains") == sorted({entry.name for entry in taken() if entry.kind == "domain"})
    assert {*strings("patterns")} == {entry.name for entry in taken() if entry.kind == "host_pattern"}
    assert {*strings("requests")} == {f"{entry.name}{entry.url.path}" for entry in taken() if entry.kind == "url"}


def test_each_expression_of_the_script_fits_the_hosts_that_it_stands_for():
    """One label may vary, and no dot."""
    text = cases.text("zeek", "sentinel.zeek")
    for name in strings("patterns"):
        found = re.search(rf'\["{re.escape(name)}"\] = /(.*)/', text)
        assert found
        assert re.fullmatch(found[1], name.replace("*", "abc"))
        assert not re.fullmatch(found[1], name.replace("*", "a.b"))
        assert not re.fullmatch(found[1], name.replace("*", ""))


def test_every_row_of_the_intel_file_has_the_fields_of_its_header():
    """The reader refuses a file with a row that does not fit, and looks up nothing of it."""
    header = next(line for line in cases.text("zeek").splitlines() if line.startswith("#fields"))
    fields = header.split("\t")[1:]
    assert fields[:2] == ["indicator", "indicator_type"]
    assert all(len(row) == len(fields) and all(row) for row in rows())
    assert {row[1] for row in rows()} == {"Intel::DOMAIN", "Intel::URL"}
    assert {row[-1] for row in rows()} == {"T"}
    assert not any("://" in row[0] for row in rows())


def test_the_intel_file_holds_what_the_script_looks_up():
    """The script asks for an entry by its name: one that is not in the file would never hit."""
    known = {row[0] for row in rows()}
    assert known >= {*strings("domains"), *strings("patterns"), *strings("requests")}
    assert known == {f"{entry.name}{entry.url.path}" if entry.kind == "url" else entry.name for entry in taken()}


def test_a_shared_host_is_no_domain_of_the_intel_file():
    """Intel::DOMAIN hits on every look-up of the name."""
    for row in rows():
        if row[1] == "Intel::DOMAIN" and "*" not in row[0]:
            assert cases.services(cases.said("zeek"), cases.looked_up(row[0])) >= {row[2].removeprefix("sentinel/")}
