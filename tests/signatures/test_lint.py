"""The lint: what would match other people is refused, each with file and line, and all of it at once."""

import pytest

from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.lint import lint
from sentinel.signatures.reading import read_what_holds

GOOD = """\
schema: 1
id: some-faces
name: Some Faces
category: face-search
severity: high
references: [https://faces.example/about]
indicators:
  - {domain: faces.example}
  - {url: {host: faces.example, method: POST, path: /api/search}, stage: search}
tests:
  match:
    - {url: "POST https://faces.example/api/search", stage: search}
  no_match:
    - {dns: notfaces.example}
"""
AT_INDICATOR = 9


def linted(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name.replace('_', '-')}.yaml").write_text(text)
    read, mistakes = read_what_holds([folder])
    return [*mistakes, *lint(read)]


def indicator(text):
    return GOOD.replace("{url: {host: faces.example, method: POST, path: /api/search}, stage: search}", text)


def test_the_built_in_catalog_has_nothing_to_mend():
    """It is what others learn from."""
    read, mistakes = read_what_holds([builtin_rules()])
    assert [*mistakes, *lint(read)] == []


def test_a_good_file_has_nothing_to_mend(tmp_path):
    """A lint that always finds something is not read."""
    assert linted(tmp_path, some_faces=GOOD) == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{domain: google.com}", "'google.com' serves much else"),
        ("{host: www.google.com}", "serves much else"),
        ("{host: lens.google.com}", "serves much else"),
        ("{host: huggingface.co}", "serves much else"),
        ("{domain: amazonaws.com}", "serves much else"),
        ("{mail_from: github.com}", "serves much else"),
        ("{url: {host: www.bing.com, method: POST, path: /images/faces}, stage: upload}", "very many records name"),
        ("{url: {host: www.bing.com, path: /images/search, query: q=somefaces, shared: true}}", "keyword 'somefaces'"),
        ("{url: {host: news.example, path_regex: '^/.*somefaces'}}", "keyword 'somefaces' is looked for anywhere"),
        ("{url: {host_pattern: '*', method: GET, path: /somefaces, shared: true}}", "paths of every host"),
        ("{host_pattern: '*-somefaces.hf.space'}", "other people's names below 'hf.space'"),
        ("{host: app.faces.example, secret: true}", "something else than a search"),
        ("{domain: co.uk}", "public suffix"),
        ("{domain: hf.space}", "public suffix"),
        ("{domain: somefaces}", "no host name of two labels"),
    ],
)
def test_what_would_match_other_people_is_named_with_its_line(tmp_path, entry, said):
    """A brand's name, a shared host, everybody's suffix: each accuses those who have searched no face."""
    found = [one for one in linted(tmp_path, some_faces=indicator(entry)) if one.line == AT_INDICATOR]
    assert [said in one.what for one in found] == [True], found
    assert found[0].file.endswith("some-faces.yaml")


@pytest.mark.parametrize(
    "entry",
    [
        "{host_pattern: '*-somefaces.hf.space', basis: inferred}",
        "{url: {host: www.bing.com, path: /images/search, query: iss=sbiupload, shared: true}, stage: upload}",
        "{url: {host: t.me, path: /somefacesbot, shared: true}, stage: visit}",
        "{url: {host: api.apify.com, path_regex: '^/v2/acts/x~some-faces/runs$', shared: true}, stage: visit}",
        "{host: vision.googleapis.com}",
    ],
)
def test_whole_paths_and_hosts_on_shared_domains_are_fine(tmp_path, entry):
    """That is how Hugging Face, Telegram or a cloud's own API are to be matched."""
    found = linted(tmp_path, some_faces=indicator(entry).replace('api/search", stage: search', '"'))
    assert found == []


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("[https://faces.example/about]", "[]", 1, "needs a reference"),
        ("[https://faces.example/about]", "[faces.example]", 6, "no address"),
        ("category: face-search", "category: reverse-image", 5, "no path that shows an upload"),
        ("category: face-search", "category: sanctioned", 5, "accuses nobody"),
        ("severity: high", "severity: medium\nconfidence: inferred", 5, "names are inferred"),
        ("severity: high", "severity: high\nvalid_from: 2020-01-01\nvalid_until: 2019-01-01", 7, "before it began"),
        ("  no_match:\n    - {dns: notfaces.example}\n", "", 10, "cases of both kinds"),
        ("id: some-faces", "id: other-faces", 2, "not called other-faces.yaml"),
    ],
)
def test_a_service_says_no_more_than_is_known(tmp_path, old, new, line, said):
    """Severity follows from what is known, and a reader can look it up."""
    text = GOOD.replace(old, new)
    if "reverse-image" in new:
        text = text.replace("path: /api/search}, stage: search", "path: /api/search}, stage: visit").replace(
            ", stage: search}", "}"
        )
    found = [one for one in linted(tmp_path, some_faces=text) if one.line == line]
    assert [said in one.what for one in found] == [True], found


def test_a_reverse_image_service_with_an_upload_path_may_be_worth_more(tmp_path):
    """What is known of it is what was done, and no longer that a page was open."""
    assert linted(tmp_path, some_faces=GOOD.replace("category: face-search", "category: reverse-image")) == []


@pytest.mark.parametrize(
    "other",
    [
        "{domain: faces.example}",
        "{domain: app.faces.example}",
        "{host: faces.example}",
        "{host_pattern: 'jsc*.faces.example'}",
        "{url: {host: faces.example, method: POST, path: /upload}}",
        "{url: {host: api.faces.example, path_regex: '^/x'}}",
    ],
)
def test_a_name_is_one_services(tmp_path, other):
    """Whose the finding is would depend on which of the two a reader looks at."""
    second = GOOD.replace("some-faces", "more-faces").partition("indicators:")[0] + f"indicators:\n  - {other}\n"
    second += "tests:\n  match:\n    - {url: 'https://api.faces.example/x'}\n  no_match:\n    - {dns: notfaces.example}\n"
    found = [one for one in linted(tmp_path, some_faces=GOOD, more_faces=second) if "more-faces.yaml" in one.file]
    assert any("also matches the service 'some-faces' (domain faces.example)" in one.what for one in found), found


def test_two_paths_on_one_shared_host_are_two_services(tmp_path):
    """Google's old image search and Lens live side by side."""
    texts = {
        name: GOOD.replace("some-faces", name)
        .replace("  - {domain: faces.example}\n", "")
        .replace("host: faces.example, method: POST, path: /api/search", f"host: www.bing.com, path: /{name}, shared: true")
        .replace("POST https://faces.example/api/search", f"https://www.bing.com/{name}")
        for name in ("some-faces", "more-faces")
    }
    assert linted(tmp_path, some_faces=texts["some-faces"], more_faces=texts["more-faces"]) == []


def test_mistakes_of_both_kinds_come_in_one_round(tmp_path):
    """A file that does not load is looked at all the same, as far as it can be read."""
    text = indicator("{domain: google.com}").replace("severity: high", "severty: high\nseverity: high")
    said = " ".join(f"{one.line} {one.what}" for one in linted(tmp_path, some_faces=text))
    assert "5 unknown key 'severty'" in said
    assert "10 'google.com' serves much else" in said
