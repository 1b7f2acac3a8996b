"""Receivers that speak HTTP, on loopback: each checks what it is sent against the published contract, and answers so."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentinel.sinks.outcome import Document
from tests.schemas.alerts import START


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What goes back. A status of 0 resets the connection instead."""

    status: int
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)


class Receiver(http.server.ThreadingHTTPServer):
    """Answers each request as the contract says, or as the next of `script` does."""

    daemon_threads = True

    def __init__(self, contract: Callable[[Request], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contract = contract
        self.script: list[Reply] = []
        self.requests: list[Request] = []
        self.errors: list[str] = []
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Senders may go away, and refuse certificates."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        self.server.requests.append(asked)
        if self.server.script:
            reply = self.server.script.pop(0)
        else:
            try:
                reply = self.server.contract(asked)
            except AssertionError as error:
                self.server.errors.append(str(error))
                reply = Reply(400, str(error).encode())
        if reply.status == 0:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        said = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, *args):
        """Say nothing."""


@contextlib.contextmanager
def receiving(contract: Callable[[Request], Reply], tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver. When the block ends, nothing may have broken the contract."""
    server = Receiver(contract)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert server.errors == []


def document(number: int = 1, body: bytes | Any = None, **more: Any) -> Document:
    """Return a document with the id al_<number>."""
    text = {"number": number, "text": "ü"} if body is None else body
    made = text if isinstance(text, bytes) else json.dumps(text, ensure_ascii=False).encode()
    return Document(id=f"al_{number}", body=made, kind="opened", severity=3, time=START, **more)


def secret(folder: Path, name: str, text: str) -> Path:
    """Write a secret into a file of its own, and return the file."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return path
