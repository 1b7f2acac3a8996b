"""GELF over TCP and TLS: messages end with a NUL, and what a stopped server lost is sent again."""

import contextlib
import json
import socket
import ssl
import threading

import pytest

from sentinel.schemas import SCHEMAS
from sentinel.sinks.gelf import GelfSettings, GelfSink
from sentinel.sinks.outcome import Delivered, Retry
from tests.integration import lab
from tests.schemas.alerts import alert
from tests.sinks.receivers import document


class Input:
    """A GELF input: reads messages to their NUL."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.messages: list[dict] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(0.1)
        self.port = self._listener.getsockname()[1]
        self._context = context
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                connection, _peer = self._listener.accept()
                with connection:
                    connection.settimeout(2)
                    if self._context is not None:
                        with self._context.wrap_socket(connection, server_side=True) as secured:
                            self._read(secured)
                    else:
                        self._read(connection)

    def _read(self, connection: socket.socket) -> None:
        connection.settimeout(0.1)
        rest = b""
        while not self._stop.is_set():
            try:
                part = connection.recv(65536)
            except TimeoutError:
                continue
            if not part:
                return
            *whole, rest = (rest + part).split(b"\0")
            self.messages += [json.loads(message) for message in whole]


def test_each_message_ends_with_a_nul():
    """Graylog parts messages by it."""
    graylog = Input()
    sink = GelfSink(GelfSettings(type="gelf", name="g", host="127.0.0.1", port=graylog.port, transport="tcp"))
    body = SCHEMAS["gelf"](alert(), "me")
    assert sink.send([document(1, body), document(2, b'{"nul":"\0"}')]) == [Delivered()] * 2
    lab.wait_until(lambda: len(graylog.messages) == 2, "both arrive")
    sink.close()
    graylog.close()
    assert graylog.messages == [json.loads(body), {"nul": " "}]


def test_tls_checks_the_server(tmp_path):
    """Alerts say who did what."""
    certificate = lab.certificate(tmp_path, [])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    graylog = Input(context)
    stranger = GelfSink(GelfSettings(type="gelf", name="g", host="localhost", port=graylog.port))
    (outcome,) = stranger.send([document()])
    assert isinstance(outcome, Retry)
    known = GelfSink(GelfSettings(type="gelf", name="g", host="localhost", port=graylog.port, ca_file=certificate.certificate))
    assert known.send([document()]) == [Delivered()]
    lab.wait_until(lambda: graylog.messages, "it arrives")
    known.close()
    graylog.close()


@pytest.mark.integration
@pytest.mark.parametrize("batch", [1, 3])
def test_after_a_restart_the_last_messages_are_sent_again(batch):
    """What the server had acknowledged and not read is lost without anyone being told."""
    graylog = Input()
    sink = GelfSink(GelfSettings(type="gelf", name="g", host="127.0.0.1", port=graylog.port, transport="tcp"))
    assert sink.send([document(n) for n in range(batch)]) == [Delivered()] * batch
    graylog.close()
    again = Input(port=graylog.port)
    lab.wait_until(lambda: isinstance(sink.send([document(9)])[0], Delivered), "it is reached again")
    lab.wait_until(lambda: len(again.messages) == batch + 1, "all arrive")
    sink.close()
    again.close()
    assert [message["number"] for message in again.messages] == [*range(batch), "9"] or again.messages[-1]["number"] == 9
