"""CloudEvents: read by the project's own library."""

import json

from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given

from sentinel.schemas.cloudevents import cloudevents
from sentinel.schemas.event import event
from tests.schemas.alerts import START, alert, alerts


def read(body: bytes) -> CloudEvent:
    """Return the event that the library finds in a structured message; it raises on what the specification forbids."""
    message = HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=body)
    return from_structured(message, JSONFormat(), CloudEvent)


@given(alerts)
def test_any_alert_is_a_cloud_event(made):
    """Whatever a user is called: the library refuses attributes with control characters."""
    line = cloudevents(made, "collector 1/ü")
    assert line.decode().isprintable()
    found = read(line)
    assert found.get_id() == made.id
    assert found.get_source() == "/sentinel/collector%201%2F%C3%BC"
    assert found.get_type().startswith("sentinel.")


def test_its_data_is_that_of_our_own_json():
    """One shape to learn, whichever envelope it comes in."""
    found = read(cloudevents(alert(), "collector-1"))
    assert found.get_data() == json.loads(event(alert(), "collector-1"))["data"]
    assert found.get_subject() == alert().session.id
    assert found.get_extension("severitynumber") == 17
    assert abs((found.get_time() - START).total_seconds() - 11) < 0.001
