"""The site that bears every name: HTTP/1 and HTTP/2 over TLS and in the clear, and HTTP/3, each on the address it is given.

Run as a program of its own in the town, with its settings in a JSON file. It answers any request with a page; `Set-Cookie`,
redirects and sizes are what a small service's would be.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent
from aioquic.quic.packet import QuicProtocolVersion
from hypercorn.asyncio import serve as serve_tcp
from hypercorn.config import Config

PAGES: dict[str, str] = {}
"""What a path shows, where it is not the plain page; set from the settings."""
PLAIN = "<!doctype html><title>a page</title><link rel=icon href='data:,'><p>a page"


def answer(method: str, path: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, header fields and body."""
    body = (PAGES.get(path.partition("?")[0], PLAIN) if method in ("GET", "HEAD") else "{}").encode()
    kind = b"text/html; charset=utf-8" if method in ("GET", "HEAD") else b"application/json"
    return 200, [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")], body


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request over TCP."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    while (await receive()).get("more_body"):
        pass
    status, headers, body = answer(scope["method"], scope["path"])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class Http3(QuicConnectionProtocol):
    """One connection over QUIC."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._http: H3Connection | None = None
        self._asked: dict[int, tuple[str, str]] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        """Take what QUIC delivers."""
        if isinstance(event, ProtocolNegotiated) and event.alpn_protocol in H3_ALPN:
            self._http = H3Connection(self._quic)
        if self._http is not None:
            for one in self._http.handle_event(event):
                self._http_event(self._http, one)

    def _http_event(self, http: H3Connection, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            fields = dict(event.headers)
            self._asked[event.stream_id] = (fields[b":method"].decode(), fields[b":path"].decode())
        if isinstance(event, HeadersReceived | DataReceived) and event.stream_ended:
            status, headers, body = answer(*self._asked.pop(event.stream_id))
            http.send_headers(event.stream_id, [(b":status", str(status).encode()), *headers])
            http.send_data(event.stream_id, body, end_stream=True)
            self.transmit()


async def main() -> None:
    """Serve until killed."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    PAGES.update(settings["pages"])
    config = Config()
    config.insecure_bind = [f"{host}:80" for host in settings["hosts"]]
    config.bind = [f"{host}:443" for host in settings["hosts"]]
    config.certfile, config.keyfile = settings["certificate"], settings["key"]
    config.alpn_protocols = settings["alpn"]
    config.accesslog = None
    if settings["old_tls"]:
        config.ciphers = "ALL:@SECLEVEL=0"
    quic = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN, max_datagram_frame_size=65536)
    quic.supported_versions = [QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2]
    quic.load_cert_chain(settings["certificate"], settings["key"])
    for host in settings["hosts"] if settings["quic"] else ():
        for port, retry in ((443, False), (444, True)):
            await serve(host.strip("[]"), port, configuration=quic, create_protocol=Http3, retry=retry)
    await serve_tcp(app, config, shutdown_trigger=asyncio.Event().wait)  # type: ignore[arg-type]


if __name__ == "__main__":
    asyncio.run(main())
