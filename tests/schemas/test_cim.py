"""Splunk's Common Information Model: field names and values that its data models know."""

import json

import pytest
from hypothesis import given

from sentinel.schemas.cim import cim
from tests.schemas.alerts import alert, alerts, session

FIELDS = frozenset(
    # Alerts, Intrusion Detection and Web of Splunk_SA_CIM 8.5, and `time`, `reason`, `vendor_product`, which all models share.
    [
        "app",
        "description",
        "id",
        "severity",
        "severity_id",
        "signature",
        "signature_id",
        "src",
        "subject",
        "type",
        "user",
        "dest",
        "action",
        "category",
        "dvc",
        "ids_type",
        "vendor_product",
        "bytes_in",
        "bytes_out",
        "http_method",
        "url",
        "src_ip",
        "src_port",
        "src_host",
        "dest_ip",
        "dest_port",
        "dest_host",
        "time",
        "reason",
    ]
)


@given(alerts)
def test_any_alert_has_only_fields_of_the_model_and_marked_ones_of_ours(made):
    """Flat, as `fields` and searches want it; values from the lists that the models give."""
    line = cim(made, "me")
    assert line.decode().isprintable()
    document = json.loads(line)
    assert {name for name in document if not name.startswith("sentinel_")} <= FIELDS
    assert document["severity"] in {"critical", "high", "medium", "low", "informational", "unknown"}
    assert document["type"] in {"alarm", "alert", "event", "task", "warning", "unknown"}
    assert document.get("action", "allowed") in {"allowed", "blocked"}
    assert not any(isinstance(value, dict) for value in document.values())


def test_an_alert_fills_the_fields_that_dashboards_read():
    """Enterprise Security counts `src`, `dest`, `user` and `signature`."""
    document = json.loads(cim(alert(), "collector-1"))
    asked = ("src", "src_ip", "dest", "dest_ip", "user", "signature", "severity", "dvc", "action", "bytes_out")
    assert [document[name] for name in asked] == [
        "h1.corp.example", "192.0.2.7", "app.clearview.ai", "203.0.113.9", "alice", "Clearview AI", "high", "collector-1",
        "allowed", 30000,
    ]  # fmt: skip
    assert "app.clearview[.]ai" in document["description"]


@pytest.mark.parametrize(("attempts", "action"), [(7, "blocked"), (6, "allowed")])
def test_only_what_was_refused_throughout_is_blocked(attempts, action):
    """One access that came through is use."""
    assert json.loads(cim(alert(session(attempts=attempts)), "me"))["action"] == action
