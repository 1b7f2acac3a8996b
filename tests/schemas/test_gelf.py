"""GELF: what Graylog takes, and nothing that it drops."""

import json
import re

from hypothesis import given

from sentinel.schemas.gelf import gelf
from tests.schemas.alerts import START, alert, alerts

STANDARD = {"version", "host", "short_message", "full_message", "timestamp", "level"}


@given(alerts)
def test_any_alert_is_a_message_that_graylog_takes(made):
    """Additional fields begin with `_`, are no `_id`, and hold text or numbers; the rest is the payload specification's."""
    line = gelf(made, "collector-1")
    assert line.decode().isprintable()
    assert b"\0" not in line  # the end of a message on TCP
    document = json.loads(line)
    assert document["version"] == "1.1"
    assert document["short_message"].strip()
    assert document["level"] in range(8)
    assert isinstance(document["timestamp"], float)
    for name, value in document.items():
        if name not in STANDARD:
            assert re.fullmatch(r"_[\w.\-]+", name)
            assert name != "_id"
            assert type(value) in (str, int, float)


def test_an_alert_says_who_and_what():
    """In fields that a stream rule can test."""
    document = json.loads(gelf(alert(), "collector-1"))
    assert (document["host"], document["level"], document["timestamp"]) == (
        "collector-1", 3, round(START.timestamp() + 11, 3),
    )  # fmt: skip
    assert (document["_user"], document["_src_ip"], document["_stage"]) == ("alice", "192.0.2.7", "search")
    assert (document["_alert"], document["_session"]) == ("al_" + "a" * 32, "se_" + "5" * 32)
    assert (document["_dst_host"], document["_names"]) == ("app.clearview.ai", "app.clearview.ai")
    assert "app.clearview[.]ai" in document["short_message"]
