"""ASIM AlertEvent: the columns that Microsoft makes mandatory, in the values that it lists."""

import json
import re

from hypothesis import given

from sentinel.schemas.asim import asim
from tests.schemas.alerts import alert, alerts

MANDATORY = frozenset(
    [
        "EventCount",
        "EventStartTime",
        "EventEndTime",
        "EventType",
        "EventUid",
        "EventProduct",
        "EventVendor",
        "EventSchema",
        "EventSchemaVersion",
        "TimeGenerated",
    ]
)
OTHERS = frozenset(
    [
        "EventSeverity",
        "EventSubType",
        "AlertName",
        "DvcHostname",
        "DvcIpAddr",
        "Username",
        "UsernameType",
        "IndicatorType",
        "ThreatCategory",
        "ThreatName",
        "EventMessage",
        "EventProductVersion",
        "EventOriginalType",
        "EventOriginalSeverity",
        "Url",
        "RuleName",
        "AlertStatus",
        "ThreatRiskLevel",
        "AdditionalFields",
    ]
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@given(alerts)
def test_any_alert_is_a_row_of_the_schema(made):
    """A column that the rule's stream does not declare is dropped silently, and a missing one breaks the parsers."""
    line = asim(made, "me")
    assert line.decode().isprintable()
    row = json.loads(line)
    assert set(row) >= MANDATORY
    assert set(row) <= MANDATORY | OTHERS
    assert (row["EventType"], row["EventSchema"], row["EventSchemaVersion"]) == ("Alert", "AlertEvent", "0.1")
    assert row["EventSeverity"] in {"Informational", "Low", "Medium", "High"}
    assert row["EventSubType"] in {"Threat", "Suspicious Activity", "Anomaly", "Compliance Violation"}
    assert row["AlertStatus"] in {"Active", "Closed"}
    assert ("Username" in row) == ("UsernameType" in row)
    assert row["EventCount"] >= 1
    assert all(TIME.fullmatch(row[name]) for name in ("TimeGenerated", "EventStartTime", "EventEndTime"))


def test_what_the_model_has_no_column_for_is_kept_beside():
    """Server, stage and verdict would else be lost."""
    row = json.loads(asim(alert(), "collector-1"))
    assert (row["DvcHostname"], row["DvcIpAddr"], row["Username"]) == ("h1.corp.example", "192.0.2.7", "alice")
    beside = row["AdditionalFields"]
    assert (beside["stage"], beside["verdict"], beside["server"]) == ("search", "unsanctioned", "203.0.113.9")
    assert beside["session"] == alert().session.id
    assert "app.clearview[.]ai" in row["EventMessage"]
