"""ECS documents: fields that the schema has, values that it allows."""

import json

import pytest
from hypothesis import given

from sentinel.schemas.ecs import ecs
from sentinel.terms import Stage
from tests.schemas.alerts import alert, alerts, session

NAMES = """
@timestamp ecs.version message event.kind event.category event.type event.id event.code event.action event.module
event.dataset event.provider event.start event.end event.created event.severity event.risk_score event.reason rule.id
rule.name rule.category rule.ruleset source.ip source.port source.bytes destination.domain destination.ip destination.port
destination.bytes user.name host.name dns.question.name http.request.method url.full url.original url.domain url.path
url.scheme network.name observer.name observer.type observer.vendor observer.product observer.version related.ip
related.hosts related.user data_stream.type data_stream.dataset data_stream.namespace
"""
FIELDS = frozenset(NAMES.split())
"""Fields of ECS 9.4.0 (`generated/csv/fields.csv` of github.com/elastic/ecs) that an alert may fill."""

OWN = ("labels.", "sentinel.")


def paths(value, at=""):
    """Yield the dotted name of each field."""
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from paths(inner, f"{at}{key}.")
        else:
            yield at + key


def test_an_alert_fills_the_fields_of_ecs():
    """Elastic's own rules and dashboards read these."""
    doc = json.loads(ecs(alert(), "collector-1"))
    assert doc["@timestamp"] == "2026-11-23T05:00:11.123Z"
    assert doc["event"]["start"] == "2026-11-23T05:00:00.123Z"
    assert (doc["event"]["kind"], doc["event"]["action"], doc["event"]["id"]) == ("alert", "opened", "al_" + "a" * 32)
    assert (doc["event"]["severity"], doc["event"]["risk_score"]) == (8, 73.0)
    assert doc["source"] == {"ip": "192.0.2.7", "port": 51515, "bytes": 30000}
    assert doc["destination"] == {"ip": "203.0.113.9", "port": 443, "domain": "app.clearview.ai", "bytes": 0}
    assert doc["url"] == {
        "full": "https://app.clearview.ai/search?a=b", "domain": "app.clearview.ai", "path": "/search", "scheme": "https",
    }  # fmt: skip
    assert doc["related"] == {
        "ip": ["192.0.2.7", "203.0.113.9"], "hosts": ["app.clearview.ai", "h1.corp.example"], "user": ["alice"],
    }  # fmt: skip
    assert doc["labels"] == {"stage": "search", "verdict": "unsanctioned", "session": "se_" + "5" * 32}
    assert doc["observer"]["name"] == "collector-1"


@given(alerts)
def test_every_field_is_one_of_ecs_or_ours(made):
    """A name that ECS has not is one that no rule, dashboard or mapping of Elastic's knows."""
    line = ecs(made, "me")
    assert line.decode().isprintable()
    doc = json.loads(line)
    assert {path for path in paths(doc) if not path.startswith(OWN)} <= FIELDS
    assert all(isinstance(value, str) for value in doc.get("labels", {}).values())


def test_a_look_up_of_one_name_is_a_question():
    """And nothing else is: a connection's host was not seen in a query."""
    looked = session(stage=Stage.LOOKUP, names=("pimeyes.com",))
    assert json.loads(ecs(alert(looked, url=None), "me"))["dns"] == {"question": {"name": "pimeyes.com"}}
    assert "dns" not in json.loads(ecs(alert(), "me"))


@pytest.mark.parametrize(("attempts", "findings", "kind"), [(7, 7, "denied"), (3, 7, "info"), (0, 0, "info")])
def test_only_what_was_refused_throughout_is_denied(attempts, findings, kind):
    """One access that came through is use."""
    doc = json.loads(ecs(alert(session(attempts=attempts, findings=findings)), "me"))
    assert doc["event"]["type"] == [kind]
