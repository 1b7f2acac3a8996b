"""Elasticsearch and OpenSearch, against a `_bulk` that does what their documents say; the real one is in tests/integration."""

import base64
import contextlib
import json

import pytest

from sentinel.sinks.elasticsearch import ElasticsearchSettings, ElasticsearchSink
from sentinel.sinks.outcome import Delivered, Rejected, Retry
from tests.sinks.receivers import Reply, Request, document, receiving, secret


class Cluster:
    """`_bulk` of one data stream or index: `create` once for each id, `index` unless an older version comes late."""

    def __init__(self, target: str = "logs-sentinel.alert-default", authorization: str | None = None) -> None:
        self.target, self.authorization = target, authorization
        self.kept: dict[str, tuple[int, dict]] = {}

    def __call__(self, request: Request) -> Reply:
        assert request.method == "POST"
        assert request.path.partition("?")[0] == f"/{self.target}/_bulk"
        assert request.headers["content-type"] == "application/x-ndjson"
        if request.headers.get("authorization") != self.authorization:
            return Reply(401, {"error": {"type": "security_exception"}, "status": 401})
        assert request.body.endswith(b"\n")
        lines = [json.loads(line) for line in request.body.decode().splitlines()]
        assert len(lines) % 2 == 0
        items = [self._item(action, source) for action, source in zip(lines[::2], lines[1::2], strict=True)]
        return Reply(200, {"errors": any("error" in next(iter(item.values())) for item in items), "items": items})

    def _item(self, action: dict, source: dict) -> dict:
        ((name, about),) = action.items()
        key, version = about["_id"], about.get("version", 1)
        assert len(key) <= 512
        if "bad" in source:
            error = {"type": "document_parsing_exception", "reason": "failed to parse field [bad]"}
            return {name: {"status": 400, "error": error}}
        if source.get("busy"):
            return {name: {"status": 429, "error": {"type": "es_rejected_execution_exception"}}}
        if key in self.kept and (name == "create" or version < self.kept[key][0]):
            return {name: {"status": 409, "error": {"type": "version_conflict_engine_exception"}}}
        status = 200 if key in self.kept else 201
        self.kept[key] = version, source
        return {name: {"status": status}}


@contextlib.contextmanager
def opened(receiver, **settings):
    made = ElasticsearchSink(ElasticsearchSettings(type="elasticsearch", name="e", url=receiver.url, **settings))
    yield made
    made.close()


def test_an_alert_that_is_sent_twice_is_there_once():
    """409 on `create` is an earlier delivery, and as good as this one."""
    cluster = Cluster()
    with receiving(cluster) as receiver, opened(receiver) as sink:
        assert sink.send([document(1), document(2)]) == [Delivered("item 201")] * 2
        assert sink.send([document(2), document(3)]) == [Delivered("item 409: there already"), Delivered("item 201")]
    assert sorted(cluster.kept) == ["al_1", "al_2", "al_3"]


def test_each_item_has_its_own_outcome():
    """HTTP 200 says nothing of them."""
    with receiving(Cluster()) as receiver, opened(receiver) as sink:
        outcomes = sink.send([document(1), document(2, {"bad": 1}), document(3, {"busy": True}), document(4)])
    assert [type(one) for one in outcomes] == [Delivered, Rejected, Retry, Delivered]
    assert "document_parsing_exception" in outcomes[1].reason


def test_with_one_document_a_session_the_latest_state_stays():
    """Also when an older alert comes in late, out of the dead letters."""
    cluster = Cluster("sessions")
    early, late = document(1, {"stage": "visit"}, session="se_1"), document(2, {"stage": "search"}, session="se_1")
    late = type(late)(**{**{name: getattr(late, name) for name in late.__slots__}, "time": late.time.replace(minute=9)})
    with receiving(cluster) as receiver, opened(receiver, index="sessions", documents="sessions") as sink:
        for one in (early, late, early):
            assert isinstance(sink.send([one])[0], Delivered)
    assert {key: source for key, (_version, source) in cluster.kept.items()} == {"se_1": {"stage": "search"}}


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503, 504])
def test_what_time_or_people_mend_is_tried_again(status):
    """A cluster that is red, or credentials that lapsed, are the same for every alert."""
    with receiving(Cluster()) as receiver, opened(receiver) as sink:
        receiver.script = [Reply(status, {"error": "x"}, {"Retry-After": "9"})]
        outcomes = sink.send([document(1), document(2)])
    assert [one.after_secs for one in outcomes] == [9, 9]


def test_a_request_that_is_too_large_is_halved():
    """`http.max_content_length` is the cluster's to set."""
    cluster = Cluster()
    with receiving(cluster) as receiver, opened(receiver) as sink:
        receiver.script = [Reply(413), Reply(413)]
        assert {type(one) for one in sink.send([document(n) for n in range(4)])} == {Delivered}
        receiver.script = [Reply(413, b"still too large")]
        assert sink.send([document(9)]) == [Rejected("HTTP 413: still too large")]
    assert len(cluster.kept) == 4


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"items": []}', b'{"items": [{"create": {"status": 201}}]}', b'{"items": 7}']
)
def test_an_answer_that_is_none_of_bulk_proves_nothing(body):
    """A proxy's log-in page says 200 as well."""
    with receiving(Cluster()) as receiver, opened(receiver) as sink:
        receiver.script = [Reply(200, body)]
        assert {type(one) for one in sink.send([document(1), document(2)])} == {Retry}


def test_credentials_are_an_api_key_or_a_user(tmp_path):
    """From files, and in no message."""
    key = secret(tmp_path, "key", "a2V5OnNlY3JldA==")
    with receiving(Cluster(authorization="ApiKey a2V5OnNlY3JldA==")) as receiver, opened(receiver, api_key_file=key) as sink:
        assert isinstance(sink.send([document()])[0], Delivered)
        receiver.script = [Reply(403, b"no ApiKey a2V5OnNlY3JldA== here")]
        assert "a2V5" not in sink.send([document(2)])[0].reason
    basic = "Basic " + base64.b64encode(b"sentinel:pass").decode()
    password = secret(tmp_path, "password", "pass")
    with receiving(Cluster(authorization=basic)) as receiver:
        with opened(receiver, username="sentinel", password_file=password) as sink:
            assert isinstance(sink.send([document()])[0], Delivered)
