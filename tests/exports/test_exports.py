"""What holds for every export: the same bytes for the same rules, nothing broader than they are, what is left out is told."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sentinel.signatures import exports
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.exports.entry import entries
from sentinel.signatures.exports.ids import sids
from sentinel.signatures.exports.target import DETECTED, export
from sentinel.signatures.service import Service
from tests.exports import cases

SENTINEL = Path(sys.executable).with_name("sentinel")
LATER = datetime(2027, 3, 4, tzinfo=UTC)
DATED = {"rpz", "stix", "misp"}


def service(name: str, *indicators: dict, category: str = "face-search") -> Service:
    """Return a service with these indicators."""
    described = {
        "id": name,
        "name": name.title(),
        "category": category,
        "severity": "high",
        "references": ["https://a.example/"],
    }
    return Service.of({**described, "indicators": list(indicators)})


def written(target: str, *services: Service) -> str:
    """Return all that the export of *services* says."""
    return "\n".join(export(exports.target(target), Catalog.of(services), cases.MADE).files.values())


@pytest.mark.parametrize("target", exports.names())
def test_the_same_rules_give_the_same_bytes_in_any_order(target):
    """A file that changes without cause is loaded, reviewed and distributed without cause."""
    services = list(cases.catalog().services.values())
    random.Random(7).shuffle(services)
    shuffled = Catalog.of(
        replace(one, indicators=tuple(random.Random(7).sample(one.indicators, len(one.indicators)))) for one in services
    )
    again = export(exports.target(target), shuffled, cases.MADE)
    assert again.files == cases.exported(target).files


@pytest.mark.parametrize("target", exports.names())
def test_another_time_changes_nothing_but_serials_and_dates(target):
    """Only tools that ask for a time are given one."""
    later = export(exports.target(target), cases.catalog(), LATER).files
    assert (later == cases.exported(target).files) == (target not in DATED)


@pytest.mark.parametrize("target", exports.names())
def test_no_shared_host_is_named_without_its_path(target):
    """A rule for huggingface.co would accuse everybody who reads about a language model."""
    url = {"host": "shared.example", "path": "/spaces/face-search", "shared": True}
    text = written(target, service("a", {"url": url}, {"domain": "faces.example"}))
    assert "faces.example" in text
    for found in re.finditer(r"shared\\*\.example", text):
        assert "face-search" in text[found.end() : found.end() + 90]


@pytest.mark.parametrize("target", exports.names())
def test_what_a_tool_cannot_say_is_counted_and_told_in_the_header(target):
    """An export that is silently smaller than the catalog would be trusted for more than it holds."""
    done = cases.exported(target)
    wanted = [one for one in cases.catalog().services.values() if one.category in DETECTED]
    all_of_them = entries(wanted, covered=exports.target(target).covered)
    assert done.about.entries + sum(len(left.entries) for left in done.about.left) == len(all_of_them)
    text = " ".join("\n".join(done.files.values()).replace("\\n", " ").split())
    for left in done.about.left:
        assert f"{len(left.entries)} " in str(left)
        assert " ".join(str(left).split()) in re.sub(r" (#|;|!|//|##!) ", " ", text)


@pytest.mark.parametrize("target", exports.names())
def test_sanctioned_systems_and_what_blinds_are_no_detections(target):
    """A VPN or the county's own system is no face search, unless somebody asks for the category by name."""
    catalog = Catalog.of(
        [
            service("a", {"domain": "faces.example"}),
            service("own", {"domain": "own.example"}, category="sanctioned"),
            service("vpn", {"domain": "vpn.example"}, category="visibility"),
        ]
    )
    text = "".join(export(exports.target(target), catalog, cases.MADE).files.values())
    assert ("faces.example" in text, "own.example" in text, "vpn.example" in text) == (True, False, False)
    asked = "".join(export(exports.target(target), catalog, cases.MADE, ["visibility"]).files.values())
    assert ("faces.example" in asked, "vpn.example" in asked) == (False, True)


@pytest.mark.parametrize("target", exports.names())
def test_an_export_of_nothing_is_still_a_file(target):
    """A folder of rules without a face-search service is allowed; the tool then has nothing to look for."""
    assert all(isinstance(text, str) for text in export(exports.target(target), Catalog.of([]), cases.MADE).files.values())


def test_a_rule_keeps_its_sid_whatever_comes_or_goes():
    """Departments switch rules off and set thresholds by sid."""

    def by_name(text: str) -> dict[str, str]:
        return {found[1]: found[2] for found in re.finditer(r'msg:"([^"]+)".*sid:(\d+)', text)}

    before = by_name(written("suricata", service("m", {"domain": "m.example"}, {"domain": "n.example"})))
    after = by_name(
        written(
            "suricata",
            service("a", {"domain": "a.example"}),
            service("m", {"domain": "b.example"}, {"domain": "m.example"}),
            service("z", {"domain": "z.example"}),
        )
    )
    kept = {name: sid for name, sid in before.items() if "n.example" not in name}
    assert kept
    assert kept.items() <= after.items()


def test_no_two_rules_share_a_sid(monkeypatch):
    """Suricata drops the second rule of two with one sid."""
    monkeypatch.setattr("sentinel.signatures.exports.ids.SIDS", 40)
    drawn = sids(str(number) for number in range(30))
    assert len(set(drawn.values())) == 30
    assert sids(str(number) for number in reversed(range(30))) == drawn


def test_names_that_end_a_rule_or_a_line_do_not_leave_their_field():
    """A service's name is free text."""
    odd = replace(service("a", {"domain": "faces.example"}), name='x"; drop; (a)\n|b\\')
    assert len([line for line in written("suricata", odd).splitlines() if line.startswith("alert ")]) == 5
    assert [line.count("\t") for line in written("zeek", odd).splitlines() if line.startswith("faces")] == [5]
    table = export(exports.target("splunk-lookup"), Catalog.of([odd]), cases.MADE).files["sentinel_face_search.csv"]
    assert {row["service_name"] for row in csv.DictReader(io.StringIO(table))} == {odd.name}


def sentinel(*args: object) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run([SENTINEL, *map(str, args)], capture_output=True, text=True, timeout=120, check=False)


def test_the_command_writes_one_file_to_stdout_and_tells_what_is_left_on_stderr():
    """It is piped into other tools."""
    done = sentinel("rules", "export", "rpz", "--date", cases.MADE.isoformat())
    assert (done.returncode, done.stdout) == (0, cases.text("rpz"))
    assert [line for line in done.stderr.splitlines() if line.startswith("Left out: ")]


@pytest.mark.integration
def test_several_files_need_a_folder_and_are_whole_in_it(tmp_path):
    """Two files behind one another on stdout would be neither."""
    assert sentinel("rules", "export", "zeek").returncode == 2
    done = sentinel("rules", "export", "zeek", "--to", tmp_path / "new", "--date", "2026-11-25")
    assert done.returncode == 0
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == dict(cases.exported("zeek").files)


def test_a_category_can_be_asked_for(tmp_path):
    """Blocking reverse-image search is another decision than blocking face search."""
    done = sentinel("rules", "export", "hosts", "--category", "visibility")
    assert "dns.quad9.net" in done.stdout
    assert "pimeyes.com" not in done.stdout


def test_json_exports_are_json():
    """One broken quote and nothing of it is imported."""
    for target in ("stix", "misp"):
        json.loads(cases.text(target))
    for line in cases.text("elastic").splitlines():
        json.loads(line)
