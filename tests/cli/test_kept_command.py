"""`sentinel rules kept` and `alerts show`: by which rules a finding was made, years later."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.service import Service

SENTINEL = Path(sys.executable).with_name("sentinel")
HIT = "1795411169.935 3 10.0.0.1 TCP_MISS/200 374 GET https://pimeyes.com/ - HIER_DIRECT/192.0.2.9 text/html\n"


def sentinel(*args):
    return subprocess.run([SENTINEL, *map(str, args)], capture_output=True, text=True, timeout=120)


@pytest.mark.integration
def test_the_rules_behind_a_finding_can_be_asked_for(tmp_path):
    """The store keeps their content: their digest comes out again, and what they look for."""
    (tmp_path / "a.log").write_text(HIT)
    case = tmp_path / "case"
    (finding,) = json.loads(sentinel("replay", "logs", tmp_path / "a.log", "--case", case, "--json").stdout)["findings"]
    listed = sentinel("rules", "kept", "--store", case).stdout
    digest = listed.split()[0]
    printed = json.loads(sentinel("rules", "kept", digest[:8], "--store", case).stdout)
    catalog = Catalog.of(map(Service.of, printed["services"]))
    assert (catalog.digest, printed["ruleset"]) == (digest, digest)
    assert finding["service"] in catalog.services
    alert = json.loads(sentinel("alerts", "--store", case, "--json").stdout.splitlines()[0])["id"]
    assert f"found by the rule set {digest}" in sentinel("alerts", "show", "--store", case, alert).stdout
    assert json.loads(sentinel("alerts", "show", "--store", case, "--json", alert).stdout)["rulesets"] == [digest]
    refused = sentinel("rules", "kept", "zz", "--store", case)
    assert (refused.returncode, "no rule set is kept that begins with 'zz'" in refused.stderr) == (2, True)
