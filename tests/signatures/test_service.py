"""The signature file: what does not load, why, and where it says so."""

import time

import pytest

from sentinel.problems import Problems
from sentinel.signatures.pattern import path_database
from sentinel.signatures.reading import load_catalog, sanctioned_service

GOOD = """\
schema: 1
id: some-service
name: Some Service
category: face-search
severity: high
references: [https://faces.example/about]
indicators:
  - {domain: faces.example, stage: contact}
  - {url: {host: faces.example, method: POST, path: /api/search}, stage: search}
tests:
  match:
    - {url: "POST https://faces.example/api/search", stage: search}
  no_match:
    - {dns: notfaces.example}
"""


def loaded(tmp_path, text, folder="rules"):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "some-service.yaml").write_text(text)
    return load_catalog([tmp_path / folder])


def problems(tmp_path, text):
    with pytest.raises(Problems) as caught:
        loaded(tmp_path, text)
    return caught.value.problems


def test_every_mistake_of_a_file_is_named_at_once_with_its_line(tmp_path):
    """Whoever writes a rule wants one round."""
    text = GOOD.replace("severity: high", "severty: high").replace("domain: faces.example", "domain: co.uk")
    found = problems(tmp_path, text.replace("stage: search}\ntests", "stage: serch}\ntests"))
    assert {problem.line for problem in found} >= {5, 8, 9}
    assert any(problem.mend == "Did you mean 'severity'?" for problem in found)
    assert any("public suffix" in problem.what for problem in found)


@pytest.mark.parametrize(
    "host", ["com", "co.uk", "github.io", "localhost", "a..b", "faces.example/x", "*.faces.example", "K\u212a.example"]
)
def test_a_name_that_is_everybodys_or_none_is_refused(tmp_path, host):
    """A rule for co.uk would accuse a country."""
    assert problems(tmp_path, GOOD.replace("domain: faces.example", f'domain: "{host}"'))


@pytest.mark.parametrize("regex", ["/api", "^/(a", r"^/(a)\\1", "^/(?=a)b", "^/(?<!a)b"])
def test_a_pattern_that_could_run_for_ever_or_anywhere_is_refused(tmp_path, regex):
    """Paths are chosen by strangers: the time to match one has to be linear in its length."""
    assert problems(tmp_path, GOOD.replace("path: /api/search", f'path_regex: "{regex}"'))


def test_a_hostile_path_takes_no_longer_than_its_length():
    """Python's own `re` takes quadratic time for this pattern of ours and a path full of underscores."""
    database = path_database("^/[a-z]{2}/results/[^/]+_[^/]+$")
    hits = []
    begun = time.perf_counter()
    database.scan(b"/en/results/" + b"_" * 1_000_000 + b"/", match_event_handler=lambda *hit: hits.append(hit))
    assert hits == []
    assert time.perf_counter() - begun < 5


def test_every_branch_of_a_pattern_is_anchored():
    """The pattern "^/a|/b" must not find /b in the middle of another path."""
    hits = []
    path_database("^/a|/b").scan(b"/x/b", match_event_handler=lambda *hit: hits.append(hit))
    assert hits == []


def test_a_rule_whose_own_case_fails_does_not_load(tmp_path):
    """A rule that does not do what it says is worse than none."""
    (problem,) = problems(tmp_path, GOOD.replace("dns: notfaces.example", "dns: www.faces.example"))
    assert "must not" in problem.what


def test_a_later_folder_replaces_a_service_by_its_id(tmp_path):
    """An operator corrects a built-in rule without editing the package."""
    loaded(tmp_path, GOOD)
    loaded(tmp_path, GOOD.replace("severity: high", "severity: low"), folder="mine")
    catalog = load_catalog([tmp_path / "rules", tmp_path / "mine"])
    assert catalog.services["some-service"].severity == "low"


def test_one_id_twice_in_a_folder_is_a_mistake(tmp_path):
    """Which of the two holds would depend on the file's name."""
    loaded(tmp_path, GOOD)
    (tmp_path / "rules" / "again.yaml").write_text(GOOD)
    with pytest.raises(Problems, match="is also in"):
        load_catalog([tmp_path / "rules"])


def test_the_digest_follows_the_meaning_and_not_the_layout(tmp_path):
    """Evidence names the rule set that made it: comments leave it alone, an indicator does not."""
    digest = loaded(tmp_path, GOOD).digest
    assert loaded(tmp_path, "# a comment\n" + GOOD).digest == digest
    assert loaded(tmp_path, GOOD.replace("path: /api/search", "path_regex: ^/api/search$")).digest != digest


def test_the_operators_own_system_joins_the_catalog(tmp_path):
    """Its host names are not public, so that they come from the policy."""
    catalog = loaded(tmp_path, GOOD).with_services([sanctioned_service("county-system", "County", ["Faces.County.Example."])])
    assert catalog.services["county-system"].indicators[0].domain == "faces.county.example"
    with pytest.raises(Problems, match="public suffix"):
        sanctioned_service("county-system", "County", ["gov.uk"])
