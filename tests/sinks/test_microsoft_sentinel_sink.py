"""Microsoft Sentinel, against a Logs Ingestion API and a token service that hold senders to Microsoft's documents."""

import contextlib
import json
from urllib.parse import parse_qs

import pytest

from sentinel.schemas import SCHEMAS
from sentinel.sinks import microsoft_sentinel
from sentinel.sinks.microsoft_sentinel import MicrosoftSentinelSettings, MicrosoftSentinelSink
from sentinel.sinks.outcome import Delivered, Rejected, Retry
from tests.schemas.alerts import alert
from tests.sinks.receivers import Reply, Request, document, receiving, secret

SECRET = "s3cret~of.the-application"


class Azure:
    """The token service, the identity service and one stream."""

    def __init__(self, secs: int = 3599) -> None:
        self.rows: list[dict] = []
        self.tokens: list[str] = []
        self.secs = secs

    def __call__(self, request: Request) -> Reply:
        if request.path == "/tenant-1/oauth2/v2.0/token":
            assert request.headers["content-type"] == "application/x-www-form-urlencoded"
            form = {name: value for name, (value,) in parse_qs(request.body.decode()).items()}
            assert (form["grant_type"], form["scope"]) == ("client_credentials", "https://monitor.azure.com/.default")
            if (form["client_id"], form["client_secret"]) != ("app-1", SECRET):
                return Reply(401, {"error": "invalid_client", "error_description": f"AADSTS7000215 {form['client_secret']}"})
            return self._token()
        if request.path.startswith("/metadata/identity/oauth2/token?"):
            assert request.headers["metadata"] == "true"
            assert parse_qs(request.path.partition("?")[2])["resource"] == ["https://monitor.azure.com"]
            return self._token()
        assert request.path == "/dataCollectionRules/dcr-1/streams/Custom-SentinelAlert?api-version=2023-01-01"
        assert request.headers["content-type"] == "application/json"
        if request.headers["authorization"] != f"Bearer {self.tokens[-1]}":
            return Reply(401, {"error": {"code": "InvalidToken"}})
        if len(request.body) > 1_000_000:
            return Reply(413, {"error": {"code": "ContentLengthLimitExceeded"}})
        try:
            rows = json.loads(request.body)
        except ValueError:
            return Reply(400, {"error": {"code": "InvalidPayload"}})
        assert isinstance(rows, list)
        self.rows += rows
        return Reply(204)

    def _token(self) -> Reply:
        self.tokens.append(f"token-{len(self.tokens)}")
        return Reply(200, {"token_type": "Bearer", "expires_in": self.secs, "access_token": self.tokens[-1]})


@contextlib.contextmanager
def opened(receiver, folder, text=SECRET, **settings):
    made = MicrosoftSentinelSink(
        MicrosoftSentinelSettings(
            type="microsoft_sentinel", name="a", endpoint=receiver.url, rule="dcr-1", authority=receiver.url, tenant="tenant-1",
            client_id="app-1", client_secret_file=secret(folder, "secret", text), **settings,
        )
    )  # fmt: skip
    yield made
    made.close()


def test_rows_arrive_with_one_token_for_all(tmp_path):
    """A token lasts an hour: the service is not asked for every batch."""
    azure = Azure()
    with receiving(azure) as receiver, opened(receiver, tmp_path) as sink:
        body = SCHEMAS["asim"](alert(), "me")
        assert sink.send([document(1, body), document(2)]) == [Delivered("HTTP 204")] * 2
        assert sink.send([document(3)]) == [Delivered("HTTP 204")]
    assert azure.rows[0] == json.loads(body)
    assert len(azure.rows) == 3
    assert len(azure.tokens) == 1


def test_a_token_is_renewed_before_its_end(tmp_path):
    """One that ends while a request is under way would lose it."""
    azure = Azure(secs=microsoft_sentinel.EARLY_SECS)
    with receiving(azure) as receiver, opened(receiver, tmp_path) as sink:
        for number in range(2):
            assert isinstance(sink.send([document(number)])[0], Delivered)
    assert len(azure.tokens) == 2


def test_a_revoked_token_is_renewed_once(tmp_path):
    """And when that is refused too, time or people mend it."""
    azure = Azure()
    with receiving(azure) as receiver, opened(receiver, tmp_path) as sink:
        sink.send([document(1)])
        azure.tokens.append("another")
        assert isinstance(sink.send([document(2)])[0], Delivered)
        azure.tokens.append("another")
        receiver.script = [Reply(401), Reply(200, {"access_token": "t", "expires_in": 99}), Reply(401)]
        assert isinstance(sink.send([document(3)])[0], Retry)


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_what_time_or_people_mend_is_tried_again(tmp_path, status):
    """A role takes half an hour to spread; a wrong rule is the same for every alert."""
    with receiving(Azure()) as receiver, opened(receiver, tmp_path) as sink:
        sink.send([document(1)])
        receiver.script = [Reply(status, {"error": {"code": "x"}}, {"Retry-After": "42"})]
        assert [one.after_secs for one in sink.send([document(2), document(3)])] == [42, 42]


def test_a_bad_row_does_not_take_its_neighbours_along(tmp_path):
    """The API takes or refuses a request as a whole."""
    azure = Azure()
    with receiving(azure) as receiver, opened(receiver, tmp_path) as sink:
        outcomes = sink.send([document(1), document(2, b"no json"), document(3)])
    assert [type(one) for one in outcomes] == [Delivered, Rejected, Delivered]
    assert [row["number"] for row in azure.rows] == [1, 3]


def test_requests_keep_below_a_megabyte(tmp_path):
    """Counted before compression, too."""
    azure = Azure()
    with receiving(azure) as receiver, opened(receiver, tmp_path) as sink:
        outcomes = sink.send([document(n, {"number": n, "text": "x" * 59_000}) for n in range(40)])
    assert {type(one) for one in outcomes} == {Delivered}
    assert len(azure.rows) == 40


def test_a_wrong_secret_is_told_without_its_value(tmp_path):
    """Microsoft's own error text quotes what was sent."""
    with receiving(Azure()) as receiver, opened(receiver, tmp_path, text="wr0ng-secret") as sink:
        (outcome,) = sink.send([document()])
    assert outcome == Retry("no token: HTTP 401: invalid_client")


def test_a_machine_in_azure_needs_no_secret(monkeypatch):
    """Its identity service is the one link-local address that is asked."""
    azure = Azure()
    with receiving(azure) as receiver:
        monkeypatch.setattr(microsoft_sentinel, "IDENTITY_SERVICE", f"{receiver.url}/metadata/identity/oauth2/token")
        settings = MicrosoftSentinelSettings(
            type="microsoft_sentinel", name="a", endpoint=receiver.url, rule="dcr-1", identity="managed"
        )
        sink = MicrosoftSentinelSink(settings)
        assert sink.send([document()]) == [Delivered("HTTP 204")]
        sink.close()
