"""Plays the bundled logs and capture into files that a real daemon follows, with a webhook receiver on loopback."""

from __future__ import annotations

import base64
import importlib.metadata
import json
import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import structlog

from sentinel.activity.records import Session
from sentinel.daemon import Daemon
from sentinel.demo.shift import Shift, capture_header, moments
from sentinel.investigate.report import html
from sentinel.investigate.stored import result_of
from sentinel.policy.policy import Policy
from sentinel.store.store import Store, url_of

GAP_OF_HOUR = 0.5
"""A session's gap as a share of the hour: thirty minutes, shrunk as the hour is."""

CONFIG = """\
store: state.db
timezone: UTC
session_gap_minutes: {gap}
policy:
  networks:
    - {{name: Detective Bureau, cidr: [10.20.3.0/24]}}
    - {{name: Headquarters, cidr: [10.20.0.0/16]}}
  sanctioned:
    - {{service: county-system, name: County face system, hosts: [faces.county.example]}}
sources:
  - {{type: file, path: access.log, poll_secs: 0.1}}
  - {{type: file, path: dnsmasq.log, poll_secs: 0.1}}
  - {{type: capture, path: gateway.pcap}}
sinks:
  - {{type: webhook, name: desk, url_file: webhook.url, secret_file: webhook.secret}}
"""


@dataclass(frozen=True, slots=True)
class Left:
    """What a demo leaves for looking around."""

    sessions: list[Session]
    report: Path
    store: Path
    received: int


class _Receiver(ThreadingHTTPServer):
    """Takes what the webhook sink posts, and says each alert's sentence."""

    daemon_threads = True

    def __init__(self, say: Callable[[str], None]) -> None:
        """Listen on a free port of 127.0.0.1."""
        super().__init__(("127.0.0.1", 0), _Answer)
        self.say = say
        self.ids: set[str] = set()


class _Answer(BaseHTTPRequestHandler):
    server: _Receiver

    def do_POST(self) -> None:
        """Take one alert."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.ids.add(self.headers["webhook-id"])
        self.server.say(f"  webhook received  {body['data']['severity']:8} {body['data']['text']}")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing: the alerts are what is to be read."""


def play(*, seconds: float, keep: bool, folder: Path | None, say: Callable[[str], None]) -> Left:
    """Play the hour in *seconds* through a real daemon; return what is left in *folder* (a new temporary one when None)."""
    # What the daemon logs is what the webhook receives; here only what goes wrong is wanted.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    here = Path(folder or tempfile.mkdtemp(prefix="sentinel-demo-"))
    here.mkdir(parents=True, exist_ok=True)
    receiver = _Receiver(say)
    threading.Thread(target=receiver.serve_forever, name="webhook receiver", daemon=True).start()
    config = _set_up(here, receiver.server_address[1], seconds)
    say(f"An hour of a fictional department, played in {seconds:.0f} s through a real daemon (folder {here}).")
    daemon = Daemon(config)
    if keep:
        daemon.take_signals()
    worker = threading.Thread(target=daemon.run, name="daemon")
    worker.start()
    _write(here, seconds)
    if keep:
        say("The daemon goes on until Ctrl-C.")
        worker.join()
    else:
        time.sleep(seconds * GAP_OF_HOUR + 3)  # so long until the last session is over and its summary has arrived
        daemon.stop()
        worker.join()
    receiver.shutdown()
    return _left(here, len(receiver.ids))


def _set_up(here: Path, port: int, seconds: float) -> Path:
    (here / "access.log").touch()
    (here / "dnsmasq.log").touch()
    (here / "gateway.pcap").write_bytes(capture_header())
    (here / "webhook.url").write_text(f"http://127.0.0.1:{port}/alerts")
    secret = here / "webhook.secret"
    secret.touch(mode=0o600)
    secret.write_text("whsec_" + base64.b64encode(secrets.token_bytes(24)).decode())
    config = here / "sentinel.yaml"
    config.write_text(CONFIG.format(gap=round(seconds * GAP_OF_HOUR / 60, 4)))
    return config


def _write(here: Path, seconds: float) -> None:
    shift = Shift(datetime.now(UTC), timedelta(seconds=seconds))
    for moment in moments(shift):
        time.sleep(max(0.0, (moment.at - datetime.now(UTC)).total_seconds()))
        with (here / moment.file).open("ab") as file:
            file.write(moment.data)


def _left(here: Path, received: int) -> Left:
    store = Store.open(url_of("state.db", here))
    try:
        result = result_of(store)
    finally:
        store.close()
    report = here / "report.html"
    version = importlib.metadata.version("sentinel-face-search")
    page = html(result, title="The demo hour", policy=Policy(), version=version, generated=datetime.now(UTC))
    report.write_text(page, encoding="utf-8")
    return Left(list(result.sessions), report, here / "state.db", received)
