"""The webhook against a receiver on loopback that checks signatures on its own, and misbehaves in every way it may."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import os
import socket
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.sinks import web
from sentinel.sinks.outcome import Delivered, Document, Rejected, Retry
from sentinel.sinks.web import retry_after
from sentinel.sinks.webhook import WebhookSettings, WebhookSink
from tests.schemas.alerts import START

KEY = os.urandom(24)
TOKEN = "T0K3N-in-the-path"


def document(name: str) -> Document:
    """Return a document with bytes that must arrive as they are."""
    return Document(id=name, body=f'{{"id":"{name}","text":"ü"}}'.encode(), kind="opened", severity=5, time=START)


class Receiver(http.server.ThreadingHTTPServer):
    """Does with each request what `answer` says; `taken` are the requests whose signature held."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = lambda handler: handler.say(204)
        self.taken: list[tuple[str, bytes]] = []
        self.forged: list[str] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{TOKEN}?key={TOKEN}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        identity, stamp = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        mac = hmac.new(KEY, f"{identity}.{stamp}.".encode() + body, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(mac).decode()
        fresh = abs(int(stamp) - time.time()) < 300
        if self.headers["webhook-signature"] == expected and fresh and self.headers["Content-Type"] == "application/json":
            self.server.taken.append((identity, body))
        else:
            self.server.forged.append(identity)
        self.server.paths.append(self.path)
        self.server.answer(self)

    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def receiver():
    """A receiver that runs."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sink(receiver, tmp_path):
    """A sink that posts to the receiver."""
    (tmp_path / "url").write_text(receiver.url + "\n")
    (tmp_path / "secret").write_text("whsec_" + base64.b64encode(KEY).decode() + "\n")
    made = WebhookSink(WebhookSettings(type="webhook", name="w", url_file=tmp_path / "url", secret_file=tmp_path / "secret"))
    yield made
    made.close()


def test_what_is_taken_is_signed_over_the_exact_bytes(sink, receiver):
    """The receiver computes the signature by itself, from the specification."""
    assert sink.send([document("al_1"), document("al_2")]) == [Delivered("HTTP 204"), Delivered("HTTP 204")]
    assert receiver.taken == [(one.id, one.body) for one in (document("al_1"), document("al_2"))]
    assert receiver.forged == []


@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 502, 503])
def test_all_but_success_and_gone_is_tried_again(sink, receiver, status):
    """A lapsed token or a broken receiver gets mended: no alert is given up for that."""
    receiver.answer = lambda handler: handler.say(status, b"busy\x1b[2J", Retry_After="120")
    (outcome,) = sink.send([document("al_1")])
    assert outcome == Retry(f"HTTP {status}: busy\\x1b[2J", after_secs=120)


def test_gone_is_given_up(sink, receiver):
    """410 says that the endpoint wants no more."""
    receiver.answer = lambda handler: handler.say(410, b"no more")
    assert sink.send([document("al_1")]) == [Rejected("HTTP 410: no more")]


def test_redirects_are_refused(sink, receiver):
    """Followed, an alert and its signature would go where nobody configured."""
    receiver.answer = lambda handler: handler.say(302, Location=f"http://127.0.0.1:{receiver.server_port}/elsewhere")
    (outcome,) = sink.send([document("al_1")])
    assert isinstance(outcome, Retry)
    assert "redirect" in outcome.reason
    assert len(receiver.paths) == 1


def test_after_one_that_waits_the_others_are_not_tried(sink, receiver):
    """A receiver that is busy is not asked once more for each alert."""
    receiver.answer = lambda handler: handler.say(503)
    outcomes = sink.send([document("al_1"), document("al_2"), document("al_3")])
    assert [type(outcome) for outcome in outcomes] == [Retry] * 3
    assert len(receiver.paths) == 1


def test_a_reset_or_half_an_answer_is_tried_again_and_the_next_one_works(sink, receiver):
    """The connection is gone, the sink is not."""
    receiver.answer = lambda handler: handler.reset()
    (outcome,) = sink.send([document("al_1")])
    assert isinstance(outcome, Retry)

    def half(handler):
        handler.send_response(500)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.wfile.flush()
        handler.reset()

    receiver.answer = half
    (outcome,) = sink.send([document("al_1")])
    assert isinstance(outcome, Retry)
    receiver.answer = lambda handler: handler.say(200)
    assert sink.send([document("al_1")]) == [Delivered("HTTP 200")]


def test_silence_ends_in_a_retry(sink, receiver, monkeypatch):
    """A receiver that takes the request and says nothing must not hold the sink for ever."""
    monkeypatch.setattr(web, "TOTAL_SECS", 0.3)
    done = threading.Event()
    receiver.answer = lambda handler: done.wait(10)
    started = time.monotonic()
    (outcome,) = sink.send([document("al_1")])
    done.set()
    assert isinstance(outcome, Retry)
    assert time.monotonic() - started < 5


def test_an_answer_without_end_is_not_read_to_it(sink, receiver, monkeypatch):
    """It would take all memory, or all time."""

    def endless(handler):
        handler.send_response(500)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        handler.close_connection = True

    receiver.answer = endless
    (outcome,) = sink.send([document("al_1")])
    assert isinstance(outcome, Retry)
    assert len(outcome.reason) < 300


def test_the_address_is_in_no_message(sink, receiver, tmp_path):
    """Chat programs put their token into it, and reasons go to logs and dead letters."""
    receiver.answer = lambda handler: handler.say(404, f"no {handler.path} here, {receiver.url}".encode())
    said = [outcome.reason for outcome in sink.send([document("al_1")])]
    sink.close()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for url in (
            f"http://127.0.0.1:{closed.getsockname()[1]}/{TOKEN}",
            f"ftp://127.0.0.1/{TOKEN}",
            f"http://127.0.0.1:port/{TOKEN}",
            f"https://127.0.0.1:{receiver.server_port}/{TOKEN}",  # it speaks no TLS
        ):
            (tmp_path / "url").write_text(url)
            said += [outcome.reason for outcome in sink.send([document("al_1")])]
    assert len(said) == 5
    assert [reason for reason in said if TOKEN in reason] == []


@pytest.mark.parametrize("secret", [b"", b"whsec_", b"whsec_ no base64 ", b"\xff\xfe"])
def test_a_bad_secret_is_said_without_its_value(sink, receiver, tmp_path, secret):
    """Nothing is sent with it, and the mistake can be mended while the daemon runs."""
    (tmp_path / "secret").write_bytes(secret)
    (outcome,) = sink.send([document("al_1")])
    assert isinstance(outcome, Retry)
    assert "base64" not in secret.decode(errors="replace") or secret.decode() not in outcome.reason
    assert receiver.paths == []


def test_address_and_secret_come_from_the_environment_too(receiver, monkeypatch):
    """As containers are given theirs."""
    settings = WebhookSettings(type="webhook", name="w", url_env="HOOK_URL", secret_env="HOOK_SECRET")
    sink = WebhookSink(settings)
    (outcome,) = sink.send([document("al_1")])
    assert outcome == Retry("the variable HOOK_URL is not set")
    monkeypatch.setenv("HOOK_URL", receiver.url)
    monkeypatch.setenv("HOOK_SECRET", base64.b64encode(KEY).decode())
    assert sink.send([document("al_1")]) == [Delivered("HTTP 204")]
    sink.close()


NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "secs"),
    [
        (None, 0), ("", 0), ("soon", 0), ("-5", 0), ("7", 7), ("999999", 3600), ("9" * 400, 0), ("1.5", 0), ("٣", 0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90), (format_datetime(NOW - timedelta(days=1)), 0),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 3600), ("Mon, 99 Foo 2026 05:00:00 GMT", 0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most(header, secs):
    """A wrong clock at the receiver must not silence the sink for days."""
    assert retry_after(header, NOW) == secs


@given(st.text())
def test_any_retry_after_is_between_nothing_and_an_hour(header):
    """Receivers write it, and their mistakes are not ours."""
    assert 0 <= retry_after(header, NOW) <= 3600
