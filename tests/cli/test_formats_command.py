"""`sentinel formats`: what it lists, and what it shows of a mapping that is being written."""

import json
import subprocess
import sys
from pathlib import Path

SENTINEL = Path(sys.executable).with_name("sentinel")
MAPPING = """
schema: 1
name: own-proxy
title: Our own proxy
reference: https://wiki.example/proxy
record: json
recognise: {has: [when, ip]}
time: {from: when, zone: UTC}
fields: {source.ip: ip, url.original: url}
observations: [{kind: http_request, unless: {verb: PING}}, {}]
"""
LOG = """{"when":"2026-11-23 05:13:40","ip":"10.0.0.5","url":"https://pimeyes.com/en","verb":"GET","colour":"blue"}
{"when":"2026-11-23 05:13:41","ip":"10.0.0.5","verb":"PING"}
lorem ipsum
"""


def tried(tmp_path, *options):
    (tmp_path / "own.yaml").write_text(MAPPING)
    (tmp_path / "a.log").write_text(LOG)
    command = [SENTINEL, "formats", "try", *options, tmp_path / "own.yaml", tmp_path / "a.log"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_try_shows_line_by_line_what_a_mapping_yields_and_leaves(tmp_path):
    """Whoever writes a mapping sees which field is still missing, and no name that a click could look up."""
    done = tried(tmp_path)
    first, left, second, third = [line for line in done.stdout.splitlines() if "left: verb=PING" not in line]
    assert "client=10.0.0.5" in first
    assert "name=pimeyes[.]com" in first
    assert left.strip() == "left: colour=blue"
    assert second == "2: no access"
    assert third.startswith("3: refused:")
    assert "3 records: 1 tell of an access, 1 of none, 1 could not be read by own-proxy" in done.stderr


def test_try_prints_objects_when_asked(tmp_path):
    """For a script that holds a mapping to its samples."""
    rows = [json.loads(line) for line in tried(tmp_path, "--json").stdout.splitlines()]
    assert [row["record"] for row in rows] == [1, 2, 3]
    assert rows[0]["observations"][0]["name"] == "pimeyes.com"


def test_try_names_what_is_not_believed_and_why(tmp_path):
    """A user behind a URL may be a piece of it; whoever knows the product's order of fields is told where to say so."""
    (tmp_path / "own.yaml").write_text(
        MAPPING.replace("json", "pairs").replace("{source.ip: ip", "{user.name: who, source.ip: ip")
    )
    (tmp_path / "a.log").write_text("when=1795410820 ip=10.0.0.5 url=https://pimeyes.com/en who=jdoe\n")
    done = subprocess.run(
        [SENTINEL, "formats", "try", tmp_path / "own.yaml", tmp_path / "a.log"], capture_output=True, text=True, timeout=60
    )
    assert "claimed_user=jdoe" in done.stdout
    assert "not believed: who, behind the text of url; see followed_by" in done.stdout


def test_list_says_of_each_format_what_it_was_tested_with_and_since_when():
    """The difference between a program of ours and somebody's samples is the reader's to weigh."""
    done = subprocess.run([SENTINEL, "formats", "list", "--json"], capture_output=True, text=True, timeout=60)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["fortigate"]["tested_with"] == "samples only"
    assert rows["fortigate"]["made_as"] == "mapping"
    assert all(row["reference"] and row["since"] for row in rows.values())
    assert {name for name, row in rows.items() if not row["yields"]} == {"windows-event"}  # channels that tell of no access
