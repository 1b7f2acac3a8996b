"""`sentinel run` as its users run it: a process of its own, told what to do by a settings file and signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sentinel.store.store import Store, url_of
from tests.integration.lab import POSIX_ZONE, ZONE, SyslogServer, Webhook, end, wait_until

SENTINEL = Path(sys.executable).with_name("sentinel")
STOPS_WITHIN = 10.0  # seconds after SIGTERM, as promised


def follow(path: Path, **settings: Any) -> dict[str, Any]:
    """Return the settings of a source that follows the log *path*, looking often: a test should not wait."""
    return {"type": "file", "path": str(path), "poll_secs": 0.2, **settings}


def syslog_sink(server: SyslogServer, transport: str, schema: str, **settings: Any) -> dict[str, Any]:
    """Return the settings of a sink that sends to the lab's syslog server; its name is the transport's."""
    trust = {"ca_file": str(server.certificate.certificate)} if transport == "tls" else {}
    where = {"host": "localhost", "port": server.ports[transport], "transport": transport}
    return {"type": "syslog", "name": transport, "schema": schema, **where, **trust, **settings}


def webhook_sink(folder: Path, receiver: Webhook, **settings: Any) -> dict[str, Any]:
    """Return the settings of a sink that posts to the lab's receiver; address and secret lie in files that only we may read."""
    files = {"url_file": receiver.url, "secret_file": receiver.secret}
    for name, text in files.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")
    return {"type": "webhook", "name": "desk", **{name: str(folder / name) for name in files}, **settings}


@dataclass(frozen=True)
class Daemon:
    """A running daemon."""

    process: subprocess.Popen[bytes]
    folder: Path
    said_before: int  # characters in its log from earlier runs

    def kill(self) -> None:
        """Kill it where it stands."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end; return its exit status. It fails the test to take longer than promised."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running {STOPS_WITHIN:g} s after SIGTERM: {self.log()[-2000:]}")

    def log(self) -> str:
        """Return what it said so far."""
        return (self.folder / "daemon.log").read_text()[self.said_before :]

    def works(self) -> bool:
        """Whether it follows its sources by now; fail the test when it ended instead."""
        if self.process.poll() is not None:
            pytest.fail(f"the daemon ended with {self.process.returncode}: {self.log()[-2000:]}")
        return '"started"' in self.log()


def write_config(folder: Path, sources: Sequence[Any], sinks: Sequence[Any], **settings: Any) -> Path:
    """Write a settings file with its store beside it; times without a zone are in the lab's."""
    path = folder / "sentinel.yaml"
    everything = {"store": "state.db", "timezone": ZONE, "sources": list(sources), "sinks": list(sinks), **settings}
    path.write_text(json.dumps(everything, indent=2))  # JSON is YAML
    return path


@contextlib.contextmanager
def started(config: Path) -> Iterator[Daemon]:
    """Run the daemon until the block ends; do not wait until it is ready."""
    with (config.parent / "daemon.log").open("a") as log:
        said_before = log.tell()
        process = subprocess.Popen(
            [SENTINEL, "run", "-c", config],
            env=os.environ | {"TZ": POSIX_ZONE},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield Daemon(process, config.parent, said_before)
    finally:
        end(process)


@contextlib.contextmanager
def running(config: Path) -> Iterator[Daemon]:
    """Run the daemon until the block ends; the block begins when it works."""
    with started(config) as daemon:
        wait_until(daemon.works, "the daemon works")
        yield daemon


@contextlib.contextmanager
def opened_store(folder: Path) -> Iterator[Store]:
    """Open the daemon's store, beside the daemon."""
    store = Store.open(url_of("state.db", folder))
    try:
        yield store
    finally:
        store.close()
