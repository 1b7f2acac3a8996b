"""Sentinel's own JSON: the envelope of Standard Webhooks, what machines read and what people read."""

import json

from hypothesis import given

from sentinel.schemas.event import event
from tests.schemas.alerts import alert, alerts, session


def test_names_are_plain_for_machines_and_defanged_for_people():
    """A correlation needs the name; a chat program must not look it up."""
    body = json.loads(event(alert(), "collector-1"))
    assert (body["id"], body["type"]) == ("al_" + "a" * 32, "sentinel.session.opened")
    assert body["timestamp"] == "2026-11-23T05:00:11.123Z"
    assert "app.clearview[.]ai" in body["data"]["text"]
    assert body["data"]["session"]["names"] == ["app.clearview.ai"]
    assert body["data"]["session"]["client"] == {"ip": "192.0.2.7", "user": "alice", "device": "h1.corp.example"}
    assert body["data"]["session"]["searches"] == {"at_least": 3}
    assert body["data"]["session"]["bytes_down"] == 0


def test_what_is_not_known_is_left_out():
    """A user of null is easily read as the user "null"."""
    body = json.loads(event(alert(session(user=None, users=(), bytes_up=None)), "me"))
    assert "user" not in body["data"]["session"]["client"]
    assert "bytes_up" not in body["data"]["session"]


@given(alerts)
def test_any_alert_is_one_line_of_json(made):
    """JSON lines and syslog frames end at a line break."""
    line = event(made, "me")
    assert line.decode().isprintable()
    assert json.loads(line)["id"] == made.id
