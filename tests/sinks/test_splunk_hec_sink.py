"""Splunk HEC, against a collector that holds senders to Splunk's documents and answers every code they list."""

import contextlib
import json
import re

import pytest

from sentinel.schemas import SCHEMAS
from sentinel.sinks import splunk_hec
from sentinel.sinks.outcome import Delivered, Rejected, Retry
from sentinel.sinks.splunk_hec import SplunkHecSettings, SplunkHecSink
from tests.schemas.alerts import START, alert
from tests.sinks.receivers import Reply, Request, document, receiving, secret

TOKEN = "0a1b2c3d-0000-4000-8000-123456789abc"


class Collector:
    """What Splunk does: parses objects set end to end, and with acknowledgement on tells when they are indexed."""

    def __init__(self, acknowledge: bool = False, after: int = 2) -> None:
        self.indexed: list[dict] = []
        self.acknowledge, self.after = acknowledge, after
        self.asked: dict[int, int] = {}
        self.channels: set[str] = set()

    def __call__(self, request: Request) -> Reply:
        assert request.method == "POST"
        if request.headers.get("authorization") != f"Splunk {TOKEN}":
            return Reply(403, {"text": "Invalid token", "code": 4})
        channel = request.headers.get("x-splunk-request-channel", "")
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", channel)
        self.channels.add(channel)
        if request.path == "/services/collector/ack":
            return self._acks(request.json["acks"])
        assert request.path == "/services/collector/event"
        if len(request.body) > 1_000_000:
            return Reply(413, b"too large")
        events, text = [], request.body.decode()
        while text:
            try:
                event, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                return Reply(400, {"text": "Invalid data format", "code": 6, "invalid-event-number": len(events)})
            assert set(event) <= {"time", "host", "source", "sourcetype", "index", "event", "fields"}
            assert isinstance(event["time"], float)
            if event["event"] == {}:
                return Reply(400, {"text": "Event field cannot be blank", "code": 13, "invalid-event-number": len(events)})
            events.append(event)
            text = text[end:]
        if not events:
            return Reply(400, {"text": "No data", "code": 5})
        self.indexed += events
        number = len(self.asked)
        self.asked[number] = 0
        return Reply(200, {"text": "Success", "code": 0} | ({"ackId": number} if self.acknowledge else {}))

    def _acks(self, numbers: list[int]) -> Reply:
        if not self.acknowledge:
            return Reply(400, {"text": "ACK is disabled", "code": 14})
        for number in numbers:
            self.asked[number] += 1
        return Reply(200, {"acks": {str(number): self.asked[number] >= self.after for number in numbers}})


@contextlib.contextmanager
def opened(receiver, folder, **settings):
    made = SplunkHecSink(
        SplunkHecSettings(type="splunk_hec", name="h", url=receiver.url, token_file=secret(folder, "token", TOKEN), **settings)
    )
    yield made
    made.close()


def test_events_arrive_with_their_own_time(tmp_path):
    """After an outage they would else be stamped hours late."""
    collector = Collector()
    with receiving(collector) as receiver, opened(receiver, tmp_path, index="security") as sink:
        body = SCHEMAS["cim"](alert(), "me")
        assert sink.send([document(1, body), document(2)]) == [Delivered('HTTP 200: {"text": "Success", "code": 0}')] * 2
    assert len(receiver.requests) == 1
    first = collector.indexed[0]
    assert (first["time"], first["index"], first["sourcetype"]) == (round(START.timestamp(), 3), "security", "sentinel:alert")
    assert first["event"] == json.loads(body)


def test_with_acknowledgement_delivered_means_indexed(tmp_path, monkeypatch):
    """200 alone means "taken for parsing"; the channel is the same for sending and asking."""
    monkeypatch.setattr(splunk_hec, "ASK_SECS", 0.02)
    collector = Collector(acknowledge=True, after=3)
    with receiving(collector) as receiver, opened(receiver, tmp_path, acknowledge=True) as sink:
        (outcome,) = sink.send([document()])
    assert isinstance(outcome, Delivered)
    assert outcome.answer.endswith("acknowledged")
    assert collector.asked == {0: 3}
    assert len(collector.channels) == 1


def test_what_is_never_acknowledged_is_sent_again(tmp_path, monkeypatch):
    """An indexer that went down had it in memory alone."""
    monkeypatch.setattr(splunk_hec, "ASK_SECS", 0.02)
    monkeypatch.setattr(splunk_hec, "ACKNOWLEDGE_SECS", 0.1)
    with receiving(Collector(acknowledge=True, after=10**6)) as receiver, opened(receiver, tmp_path, acknowledge=True) as sink:
        (outcome,) = sink.send([document()])
    assert isinstance(outcome, Retry)


def test_a_token_without_acknowledgement_is_told(tmp_path):
    """A setting that does not fit Splunk's is nobody's lost alert."""
    with receiving(Collector()) as receiver, opened(receiver, tmp_path, acknowledge=True) as sink:
        (outcome,) = sink.send([document()])
    assert isinstance(outcome, Retry)
    assert "acknowledge" in outcome.reason


@pytest.mark.parametrize("bad", [b'{"half":', b"{}"])
def test_one_bad_event_does_not_take_its_neighbours_along(tmp_path, bad):
    """Splunk says which it was."""
    collector = Collector()
    with receiving(collector) as receiver, opened(receiver, tmp_path) as sink:
        outcomes = sink.send([document(1), document(2, bad), document(3), document(4)])
    assert [type(one) for one in outcomes] == [Delivered, Rejected, Delivered, Delivered]
    assert [event["event"]["number"] for event in collector.indexed] == [1, 3, 4]


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, 1), (401, 2), (401, 3), (403, 4), (400, 7), (500, 8), (503, 9), (400, 10), (400, 11), (400, 14), (400, 16),
     (503, 18), (503, 19), (503, 20), (401, 21), (400, 22), (429, None), (502, None)],
)  # fmt: skip
def test_what_time_or_people_mend_is_tried_again(tmp_path, status, code):
    """A wrong token is the same for every alert: none is given up for it."""
    with receiving(Collector()) as receiver, opened(receiver, tmp_path) as sink:
        receiver.script = [Reply(status, {"text": "no", "code": code} if code else b"no", {"Retry-After": "30"})]
        outcomes = sink.send([document(1), document(2)])
    assert outcomes[0].after_secs == 30
    assert [type(one) for one in outcomes] == [Retry, Retry]
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("code", [5, 6, 12, 13, 15])
def test_what_is_the_events_own_fault_is_given_up(tmp_path, code):
    """In Splunk's words."""
    with receiving(Collector()) as receiver, opened(receiver, tmp_path) as sink:
        receiver.script = [Reply(400, {"text": "bad", "code": code})]
        (outcome,) = sink.send([document()])
    assert isinstance(outcome, Rejected)
    assert str(code) in outcome.reason


def test_requests_keep_below_a_megabyte(tmp_path):
    """And a collector that takes less gets less."""
    collector = Collector()
    with receiving(collector) as receiver, opened(receiver, tmp_path) as sink:
        outcomes = sink.send([document(n, {"number": n, "text": "x" * 400_000}) for n in range(5)])
        assert {type(one) for one in outcomes} == {Delivered}
        assert len(receiver.requests) == 3
        receiver.script = [Reply(413, b"too large")]
        assert {type(one) for one in sink.send([document(8), document(9)])} == {Delivered}
    assert sorted(event["event"]["number"] for event in collector.indexed) == [0, 1, 2, 3, 4, 8, 9]


def test_the_token_is_in_no_message(tmp_path):
    """Reasons go to logs, the store and terminals."""
    with receiving(Collector()) as receiver, opened(receiver, tmp_path) as sink:
        receiver.script = [Reply(403, f"bad token {TOKEN}".encode())]
        (outcome,) = sink.send([document()])
    assert TOKEN not in outcome.reason


def test_a_reset_is_tried_again(tmp_path):
    """The next delivery finds a new connection."""
    with receiving(Collector()) as receiver, opened(receiver, tmp_path) as sink:
        receiver.script = [Reply(0)]
        assert isinstance(sink.send([document()])[0], Retry)
        assert isinstance(sink.send([document()])[0], Delivered)
