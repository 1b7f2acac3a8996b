"""`sentinel rules show|explain|test|lint|coverage` as a person or a script uses them."""

import json

import pytest
from click.testing import CliRunner

from sentinel.cli.rules import rules

BROKEN = """\
schema: 1
id: some-faces
name: Some Faces
category: face-search
severty: high
severity: high
references: [https://faces.example/about]
indicators:
  - {domain: google.com}
  - {host: app.faces.example}
tests:
  match: [{dns: app.faces.example}]
  no_match: [{dns: app.faces.example}]
"""


def run(*args, **options):
    return CliRunner().invoke(rules, list(map(str, args)), catch_exceptions=False, **options)


def test_a_service_is_shown_without_a_name_that_a_chat_would_open():
    """A preview that looks the name up would be a finding about the reader."""
    said = run("show", "clearview-ai").output
    assert "app.clearview[.]ai" in said
    assert "clearview.ai" not in said.replace("clearview[.]ai", "")


def test_a_service_as_json_is_as_it_was_written():
    """Scripts need the names as they are."""
    shown = json.loads(run("show", "pimeyes", "--json").output)
    assert {"domain": "pimeyes.com", "stage": "contact"}.items() <= shown["indicators"][0].items()


def test_a_service_that_is_not_there_is_a_mistake_of_use():
    """The list of ids is one command away."""
    done = run("show", "pimeyez")
    assert (done.exit_code, "rules list" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("APP.Clearview.AI.", "matches clearview-ai: host app.clearview[.]ai proves login (inferred)"),
        ("POST https://www.bing.com/images/search?iss=sbiupload", "matches bing-visual-search:"),
        ("https://www.bing.com/images/search?iss=sbiupload", "the method is not POST"),
        ("POST https://www.bing.com/images/search?q=cats", "the query lacks iss=sbiupload"),
        ("www.bing.com", "the host is the same, which alone tells nothing"),
        ("rekognition.amazonaws.com", "does not fit the pattern"),
        ("no-reply@pimeyes.com", "matches pimeyes: mail_from pimeyes[.]com proves login (inferred)"),
        ("clearview.ai.example.com", "inside a longer one"),
    ],
)
def test_a_name_a_request_or_a_sender_is_explained(asked, said):
    """Whoever wonders about an alert, or its absence, gets the reason."""
    assert said in run("explain", asked).output


@pytest.mark.parametrize("command", ["test", "lint"])
def test_every_mistake_comes_at_once_with_file_and_line(tmp_path, command):
    """One round of mending, whatever the kind of mistake."""
    (tmp_path / "some-faces.yaml").write_text(BROKEN)
    done = run(command, "--rules", tmp_path)
    assert done.exit_code == 1
    assert f"{tmp_path}/some-faces.yaml:5: unknown key 'severty'" in done.output
    assert f"{tmp_path}/some-faces.yaml:9: 'google.com' serves much else" in done.output
    assert (f"{tmp_path}/some-faces.yaml:13: the case" in done.output) is (command == "test")
    assert done.output.endswith("things to mend\n")


def test_a_list_is_compared_for_scripts_too(tmp_path):
    """The names that are missing go into the next rule."""
    done = run("coverage", "-", "--json", input="0.0.0.0 pimeyes.com\n0.0.0.0 faces.example\n")
    found = json.loads(done.output)
    assert [(row["name"], row["how"], row["line"]) for row in found["names"]] == [
        ("faces.example", "missing", 2),
        ("pimeyes.com", "watched", 1),
    ]
