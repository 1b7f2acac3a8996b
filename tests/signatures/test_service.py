"""The signature file: what does not load, why, and where it says so."""

import time

import pytest

from sentinel.problems import Problems
from sentinel.signatures.pattern import literal_start, path_database
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


@pytest.mark.parametrize(
    ("pattern", "start"),
    [
        ("^/face/v[0-9.]+/identify$", "/face/v"),
        (r"^/upload\.php$", "/upload.php"),
        ("^/api/v1/searches/?$", "/api/v1/searches"),
        ("^/a+b", "/a"),
        ("^/ab{0,3}", "/a"),
        (r"^/a\.?b", "/a"),
        ("^/a|/b", ""),
        ("^(/a|/b)", ""),
        ("^/x/(a|b)", "/x/"),
        (r"^/\d", "/"),
    ],
)
def test_what_every_fitting_path_begins_with(pattern, start):
    """Logs are searched for it: a character too many would be a blind spot."""
    assert literal_start(pattern) == start


@pytest.mark.parametrize(
    "entry",
    [
        "{host_pattern: '*.faces.example'}",
        "{host_pattern: 'a.*.faces.example'}",
        "{url: {host_pattern: 'a.*.faces.example', path: /x}}",
        "{url: {host_pattern: '*.faces.example', path: /face/search, shared: true}}",
        "{url: {host_pattern: '*', method: POST, path: /face/search, shared: true}}",
        "{url: {host: www.faces.example, path: /x, query: 'rpt=imageview', shared: true}}",
        "{extension: abcdefghijklmnopabcdefghijklmnop}",
    ],
)
def test_what_a_service_may_be_told_by(tmp_path, entry):
    """The shapes that the catalog needs."""
    assert loaded(tmp_path, GOOD.replace("tests:", f"  - {entry}\ntests:"))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{host_pattern: '*'}", "a host_pattern has a *"),
        ("{host_pattern: 'a*.com'}", "a host such as example.com"),
        ("{host_pattern: 'faces*.co.uk'}", "everybody's names end in 'co.uk'"),
        ("{host_pattern: 'a**.faces.example'}", "once in each"),
        ("{url: {host_pattern: '*', path: /face/search, shared: true}}", "a url on any host"),
        ("{url: {host_pattern: '*', method: POST, path: /face/search}}", "a url on any host"),
        ("{url: {host_pattern: '*.faces.example', path: /face/search}}", "is shared"),
        ("{url: {host: www.faces.example, path: /x, shared: true}}", "6 literal characters"),
        ("{url: {host: www.faces.example, path_regex: '^/(a|b)', shared: true}}", "6 literal characters"),
        ("{domain: ngrok.io, platform: true}", "only a visibility service"),
        ("{domain: faces.example, platform: true}", "is no public suffix"),
        ("{domain: ngrok.io}", "is a public suffix"),
        ("{host: t.me, url: {host: t.me, path: /x}}", "an indicator is one of"),
    ],
)
def test_what_would_match_other_people_is_refused(tmp_path, entry, said):
    """A name that many share, or a path that is in every log, accuses those who have searched no face."""
    found = problems(tmp_path, GOOD.replace("tests:", f"  - {entry}\ntests:"))
    assert any(said in problem.what for problem in found), found


def test_a_visibility_service_may_name_a_public_suffix_and_addresses(tmp_path):
    """Everybody's tunnels end in ngrok.io, and that a tunnel is used is all that is said; addresses are for firewalls."""
    text = GOOD.partition("indicators:")[0].replace("category: face-search", "category: visibility\nblinds: vpn")
    text += "addresses: [192.0.2.1, '2001:DB8::1']\nindicators: [{domain: ngrok.io, platform: true}]\n"
    catalog = loaded(tmp_path, text + "tests: {match: [{dns: abc.ngrok.io}], no_match: [{dns: ngrok.io.example}]}\n")
    assert catalog.services["some-service"].described["addresses"] == ["192.0.2.1", "2001:db8::1"]


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
