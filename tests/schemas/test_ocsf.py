"""OCSF: valid against the published schema of the version that each document names."""

import functools
import json

import pytest
from hypothesis import given, settings
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from sentinel.schemas.ocsf import OCSF_VERSION, ocsf
from sentinel.terms import Basis, Stage
from tests.schemas.alerts import alert, alerts, session


@functools.cache
def validator():
    """Return a validator of Detection Findings; the package carries the schema as OCSF publishes it."""
    import jsonschema  # takes seconds, and these tests alone need it

    published = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION))
    schema = published.get_class_schema(class_name="detection_finding", profiles=["host", "security_control"])
    return jsonschema.Draft202012Validator(schema)


@settings(max_examples=30)  # the schema is large, and each document walks all of it
@given(alerts)
def test_any_alert_is_a_valid_detection_finding(made):
    """A store of OCSF data refuses the whole batch that holds an unknown field."""
    line = ocsf(made, "collector-1")
    assert line.decode().isprintable()
    document = json.loads(line)
    assert [error.message for error in validator().iter_errors(document)] == []
    assert document["type_uid"] == document["class_uid"] * 100 + document["activity_id"]  # what the schema cannot say


def test_the_validator_finds_what_is_missing():
    """Else the test above could not fail."""
    document = json.loads(ocsf(alert(), "me"))
    del document["finding_info"]["uid"]
    document["colour"] = "red"
    assert len(list(validator().iter_errors(document))) >= 2


@pytest.mark.parametrize(("kind", "activity", "status"), [("opened", 1, 1), ("escalated", 2, 2), ("closed", 3, 4)])
def test_one_session_is_one_finding(kind, activity, status):
    """Its alerts create, update and close it."""
    document = json.loads(ocsf(alert(kind=kind), "me"))
    assert document["finding_info"]["uid"] == alert().session.id
    assert document["metadata"]["uid"] == alert().id
    assert (document["activity_id"], document["status_id"]) == (activity, status)


def test_who_and_what_are_where_ocsf_puts_them():
    """Searches over all products ask these fields."""
    document = json.loads(ocsf(alert(), "collector-1"))
    (evidence,) = document["evidences"]
    assert evidence["src_endpoint"] == {"ip": "192.0.2.7", "hostname": "h1.corp.example", "port": 51515}
    assert evidence["dst_endpoint"] == {"ip": "203.0.113.9", "hostname": "app.clearview.ai", "port": 443}
    assert evidence["actor"]["user"] == {"name": "alice"}
    assert evidence["url"] == {"url_string": "https://app.clearview.ai/search?a=b"}
    assert "app.clearview[.]ai" in document["message"]
    assert {one["value"] for one in document["observables"]} >= {"alice", "192.0.2.7", "app.clearview.ai"}


@pytest.mark.parametrize(
    ("changed", "confidence", "disposition"),
    [
        ({}, 3, 15),
        ({"basis": Basis.INFERRED}, 2, 15),
        ({"stage": Stage.LOOKUP}, 1, 15),
        ({"attempts": 7}, 3, 2),
    ],
)
def test_how_sure_and_whether_it_was_blocked(changed, confidence, disposition):
    """A look-up is what browsers do by themselves, and one refused access is no use."""
    document = json.loads(ocsf(alert(session(**changed)), "me"))
    assert (document["confidence_id"], document["disposition_id"]) == (confidence, disposition)
