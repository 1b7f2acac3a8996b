"""Slack, Teams and PagerDuty, against receivers that hold senders to their published contracts."""

import contextlib
import json
import re

import pytest

from sentinel.schemas import MESSAGES
from sentinel.sinks import KINDS
from sentinel.sinks.outcome import Delivered, Document, Rejected, Retry
from tests.schemas.alerts import START, alert
from tests.sinks.receivers import Reply, Request, receiving, secret

PATH = "/services/T000/B000/XXXXsecretXXXX"
TOKEN = "xoxb-1-secret"
KEY = "R0123456789ABCDEF0123456789ABCDE"


def message(name: str, number: int = 1, kind: str = "opened", **more) -> Document:
    """Return an alert as the sink *name* gets it."""
    made = alert(kind=kind, id=f"al_{number}")
    body = MESSAGES[name](made, "collector-1", "https://sentinel.example/s/{session}")
    return Document(id=made.id, body=body, kind=kind, severity=3, time=START, session=made.session.id, **more)


@contextlib.contextmanager
def opened(kind, **settings):
    made = KINDS[kind].open(KINDS[kind].settings.model_validate({"type": kind, "name": "x", **settings}))
    yield made
    made.close()


def check_blocks(document: dict) -> None:
    """Hold a message to Block Kit's limits. https://docs.slack.dev/reference/block-kit/blocks"""
    assert 0 < len(document["text"]) <= 40_000
    (attachment,) = document["attachments"]
    assert re.fullmatch(r"#[0-9a-f]{6}", attachment["color"])
    blocks = attachment["blocks"]
    assert len(blocks) <= 50
    for block in blocks:
        assert block["type"] in {"header", "section", "actions", "context"}
        if block["type"] == "header":
            assert block["text"]["type"] == "plain_text"
            assert len(block["text"]["text"]) <= 150
        if block["type"] == "section":
            assert len(block.get("fields", [])) <= 10
            for text in [*block.get("fields", []), *([block["text"]] if "text" in block else [])]:
                assert 0 < len(text["text"]) <= 2000


def slack_webhook(request: Request) -> Reply:
    assert (request.method, request.path) == ("POST", PATH)
    assert request.headers["content-type"] == "application/json"
    check_blocks(request.json)
    return Reply(200, b"ok")


class Workspace:
    """`chat.postMessage` of one channel."""

    def __init__(self) -> None:
        self.messages: list[dict] = []

    def __call__(self, request: Request) -> Reply:
        assert request.path == "/api/chat.postMessage"
        if request.headers["authorization"] != f"Bearer {TOKEN}":
            return Reply(200, {"ok": False, "error": "invalid_auth"})
        said = request.json
        assert said["channel"] == "C1"
        check_blocks(said)
        self.messages.append(said)
        return Reply(200, {"ok": True, "channel": "C1", "ts": f"1700000000.{len(self.messages):06d}"})


def test_a_slack_webhook_takes_a_message(tmp_path):
    """Blocks within Slack's limits, and a text for notifications."""
    with receiving(slack_webhook) as receiver:
        with opened("slack", url_file=secret(tmp_path, "url", receiver.url + PATH)) as sink:
            assert sink.send([message("slack")]) == [Delivered("HTTP 200: ok")]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, "invalid_blocks", Rejected), (400, "no_text", Rejected), (400, "user_not_found", Retry),
        (403, "action_prohibited", Retry), (404, "no_service", Retry), (404, "channel_not_found", Retry),
        (410, "channel_is_archived", Retry), (500, "rollup_error", Retry), (429, "", Retry),
    ],
)  # fmt: skip
def test_slack_says_in_a_word_what_is_wrong(tmp_path, status, body, expected):
    """Only the message's own fault gives it up; and the address, which is the secret, is in no reason."""
    with receiving(slack_webhook) as receiver:
        with opened("slack", url_file=secret(tmp_path, "url", receiver.url + PATH)) as sink:
            receiver.script = [Reply(status, f"{body}".encode(), {"Retry-After": "30"})]
            (outcome,) = sink.send([message("slack")])
    assert type(outcome) is expected
    assert "secret" not in outcome.reason
    assert getattr(outcome, "after_secs", 30) == 30


def test_slack_asks_for_one_message_a_second():
    """More are refused, and senders who go on are cut off."""
    assert (KINDS["slack"].batch, KINDS["slack"].pace_secs) == (1, 1.0)


def test_a_slack_bot_keeps_a_session_in_one_thread(tmp_path):
    """The first message's time stamp is the thread's name, which later alerts bring along."""
    workspace = Workspace()
    with receiving(workspace) as receiver:
        token = secret(tmp_path, "token", TOKEN)
        with opened("slack", token_file=token, channel="C1", api=f"{receiver.url}/api") as sink:
            (first,) = sink.send([message("slack", 1)])
            (second,) = sink.send([message("slack", 2, "escalated", reference=first.reference)])
    assert (first.reference, second.reference) == ("1700000000.000001", "1700000000.000001")
    assert [said.get("thread_ts") for said in workspace.messages] == [None, "1700000000.000001"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"ok": False, "error": "invalid_blocks"}, Rejected),
        ({"ok": False, "error": "channel_not_found"}, Retry),
        ({"ok": False, "error": "ratelimited"}, Retry),
        ({"ok": False, "error": "token_revoked"}, Retry),
        (b"<html>", Retry),
        ([], Retry),
    ],
)
def test_a_slack_bot_is_told_no_with_status_200(tmp_path, said, expected):
    """The body decides."""
    with receiving(Workspace()) as receiver:
        token = secret(tmp_path, "token", TOKEN)
        with opened("slack", token_file=token, channel="C1", api=f"{receiver.url}/api") as sink:
            receiver.script = [Reply(200, said)]
            (outcome,) = sink.send([message("slack")])
    assert type(outcome) is expected


def workflow(request: Request) -> Reply:
    """A flow's trigger: an Adaptive Card in a message of at most 28 KB. https://adaptivecards.io/explorer/"""
    assert request.path == "/workflows/1/triggers/manual?sig=secret"
    if len(request.body) > 28_000:
        return Reply(413, b"Request Entity too large")
    (attachment,) = request.json["attachments"]
    assert request.json["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    todo = list(card["body"])
    while todo:
        element = todo.pop()
        assert element["type"] in {"TextBlock", "FactSet", "Container"}
        todo += element.get("items", [])
        if element["type"] == "TextBlock":
            assert element["text"]
        for fact in element.get("facts", []):
            assert set(fact) == {"title", "value"}
    assert all(action["type"] == "Action.OpenUrl" for action in card.get("actions", []))
    return Reply(202)


def test_teams_takes_a_card(tmp_path):
    """202: the flow runs later."""
    with receiving(workflow) as receiver:
        url = secret(tmp_path, "url", f"{receiver.url}/workflows/1/triggers/manual?sig=secret")
        with opened("teams", url_file=url) as sink:
            assert sink.send([message("teams")]) == [Delivered("HTTP 202")]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(400, b"bad card"), Rejected), (Reply(413, b"large"), Rejected), (Reply(401, b"sig"), Retry), (Reply(404), Retry),
        (Reply(429, b"", {"Retry-After": "5"}), Retry), (Reply(502), Retry),
        (Reply(200, b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"), Retry),
    ],
)  # fmt: skip
def test_teams_answers_mean_what_microsoft_says(tmp_path, reply, expected):
    """Also the one that says no in the body of a yes."""
    with receiving(workflow) as receiver:
        url = secret(tmp_path, "url", f"{receiver.url}/workflows/1/triggers/manual?sig=secret")
        with opened("teams", url_file=url) as sink:
            receiver.script = [reply]
            assert type(sink.send([message("teams")])[0]) is expected


def test_an_old_teams_connector_is_named(tmp_path):
    """They are gone since 2026: what is sent there nobody sees."""
    with opened("teams", url_file=secret(tmp_path, "url", "https://dept.webhook.office.com/webhookb2/x")) as sink:
        (outcome,) = sink.send([message("teams")])
    assert "Workflows" in outcome.reason


class Pager:
    """Events v2: incidents by their key."""

    def __init__(self) -> None:
        self.incidents: dict[str, list[str]] = {}

    def __call__(self, request: Request) -> Reply:
        assert (request.path, request.headers["content-type"]) == ("/v2/enqueue", "application/json")
        event = request.json
        if event["routing_key"] != KEY:
            return Reply(400, {"status": "invalid event", "errors": ["'routing_key' is invalid"]})
        assert event["event_action"] in {"trigger", "acknowledge", "resolve"}
        assert len(event["dedup_key"]) <= 255
        payload = event["payload"]
        assert 0 < len(payload["summary"]) <= 1024
        assert payload["source"]
        assert payload["severity"] in {"critical", "error", "warning", "info"}
        self.incidents.setdefault(event["dedup_key"], []).append(event["event_action"])
        return Reply(202, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]})


def test_one_session_is_one_incident(tmp_path):
    """Opened, updated and resolved by its alerts."""
    pager = Pager()
    with receiving(pager) as receiver:
        with opened("pagerduty", routing_key_file=secret(tmp_path, "key", KEY), url=f"{receiver.url}/v2/enqueue") as sink:
            kinds = ("opened", "escalated", "closed")
            outcomes = sink.send([message("pagerduty", n, kind) for n, kind in enumerate(kinds)])
    assert {type(one) for one in outcomes} == {Delivered}
    assert list(pager.incidents.values()) == [["trigger", "trigger", "resolve"]]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [(Reply(400, b"invalid event"), Rejected), (Reply(429), Retry), (Reply(500), Retry), (Reply(202), Delivered)],
)
def test_pagerduty_answers_mean_what_it_says(tmp_path, reply, expected):
    """400 is never retried, says PagerDuty."""
    with receiving(Pager()) as receiver:
        with opened("pagerduty", routing_key_file=secret(tmp_path, "key", KEY), url=f"{receiver.url}/v2/enqueue") as sink:
            receiver.script = [reply]
            assert type(sink.send([message("pagerduty")])[0]) is expected


def test_a_wrong_routing_key_gives_no_alert_up(tmp_path):
    """It is the same for every alert, and somebody's to mend."""
    with receiving(Pager()) as receiver:
        with opened("pagerduty", routing_key_file=secret(tmp_path, "key", "wrong"), url=f"{receiver.url}/v2/enqueue") as sink:
            outcomes = sink.send([message("pagerduty", 1), message("pagerduty", 2)])
    assert [(type(one), one.tried) for one in outcomes] == [(Retry, True), (Retry, False)]
    assert json.dumps("wrong") not in outcomes[0].reason
