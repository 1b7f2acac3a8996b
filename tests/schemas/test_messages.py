"""What people read: short, complete, and nothing in it that a program looks up or takes for markup."""

import json
import re

import pytest
from hypothesis import given

from sentinel.schemas import MESSAGES
from sentinel.schemas.message import message
from sentinel.schemas.teams import markdown
from sentinel.terms import Basis, Severity, Stage, Verdict
from tests.schemas.alerts import alert, alerts, session

LINK = "https://sentinel.example/s/{session}?a={alert}"


def test_a_message_says_what_who_where_how_far_how_sure_and_what_next():
    """An analyst at night decides by it."""
    said = message(alert(), LINK)
    facts = dict(said.facts)
    assert said.title == "HIGH: Face-search use began (Clearview AI)"
    assert facts["Who"] == "alice, h1.corp.example, 192.0.2.7"
    assert facts["Where"] == "Detective Bureau"
    assert facts["What"] == "Clearview AI (app.clearview[.]ai)"
    assert facts["Stage"] == "search: ran a face search"
    assert facts["How sure"] == "a record says so"
    assert facts["When"] == "2026-11-23 05:00:00 to 05:00:10 UTC"
    assert "supervisor" in said.next
    assert said.link == f"https://sentinel.example/s/{alert().session.id}?a={alert().id}"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"stage": Stage.LOOKUP}, "Wait."),
        ({"stage": Stage.VISIT}, "Ask the person"),
        ({"stage": Stage.UPLOAD}, "Keep the evidence"),
        ({"attempts": 7}, "Nothing was reached"),
        ({"verdict": Verdict.SANCTIONED}, "policy allows it"),
    ],
)
def test_what_to_do_next_fits_how_far_it_went(changed, expected):
    """A look-up is no use, and what policy allows is nobody's work."""
    assert expected in message(alert(session(**changed)), None).next


def test_several_users_are_not_one():
    """Naming one of them would be a wrong accusation."""
    said = dict(message(alert(session(user=None, users=("alice", "bob"))), None).facts)
    assert said["Who"].startswith("one of alice, bob")


def test_what_was_inferred_is_said_to_be():
    """Sizes and host names are no record of a search."""
    assert dict(message(alert(session(basis=Basis.INFERRED)), None).facts)["How sure"].startswith("inferred")


@pytest.mark.parametrize("name", MESSAGES)
@given(made=alerts)
def test_any_alert_is_a_message_of_a_few_thousand_bytes(name, made):
    """JSON with no line break outside its texts, within what every receiver takes."""
    body = MESSAGES[name](made, "collector-1", LINK)
    json.loads(body)
    assert b"\n" not in body
    if name != "pagerduty":  # which takes half a megabyte, and gets the whole alert
        assert len(body) < 27_000


@pytest.mark.parametrize("name", ["slack", "teams", "mail"])
def test_no_host_of_the_service_is_plain(name):
    """A chat program's preview would be the look-up that is reported."""
    assert "app.clearview.ai" not in MESSAGES[name](alert(), "collector-1", LINK).decode()


def test_slack_takes_no_markup_from_traffic():
    """`<!channel>` would ring everybody."""
    bad = session(user="<!channel> <https://evil.example|click>")
    document = json.loads(MESSAGES["slack"](alert(bad, text="<!channel> did it"), "me", None))
    assert "<!" not in document["text"]
    blocks = document["attachments"][0]["blocks"]
    texts = [block["text"] for block in blocks if "text" in block] + [
        one for block in blocks for one in block.get("fields", [])
    ]
    assert {text["type"] for text in texts} == {"plain_text"}


def test_markdown_is_escaped():
    """Every character that begins something in Teams, Discord or Mattermost."""
    assert markdown("*a* _b_ [c](d) `e` #f ~g~ <h>") == r"\*a\* \_b\_ \[c\]\(d\) \`e\` \#f \~g\~ \<h\>"
    assert not re.search(r"(?<!\\)[*_\[\]()`#<>~|]", markdown("[x](y)|*z*"))


@pytest.mark.parametrize("kind", ["source-silent", "coverage-gap", "sink-backlog", "sink-test", "exception-ended"])
def test_alerts_without_a_session_say_what_to_do_too(kind):
    """Someone has to look at the source, the receiver, the gap."""
    made = alert(None, kind=kind, severity=Severity.MEDIUM)
    object.__setattr__(made, "session", None)
    assert message(made, None).next
