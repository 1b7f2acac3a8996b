"""Killed at any instant, the daemon goes on where it stood: nothing is lost, nothing is found twice, every alert arrives."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sentinel.investigate.result import finding_document
from tests.integration import lab
from tests.integration.daemon import SENTINEL, follow, opened_store, running, started, webhook_sink, write_config

KILLS = 100
LOGS = ("access.log", "query.log")
HOSTS = {"app.clearview.ai": "clearview-ai", "pimeyes.com": "pimeyes", "www.facecheck.id": "facecheck-id"}
LONGEST_WORK = 1.0  # seconds from working to the kill, for the half of the kills that do not fall into the start


@dataclass
class Writer:
    """A proxy and a resolver that write their logs, and the logrotate that moves them away, in one thread.

    One thread, because copytruncate loses what is written between its copy and its truncation, whoever reads the log.
    """

    folder: Path
    pick: random.Random
    planted: list[tuple[str, str]] = field(default_factory=list)  # client and service of each access
    rotations: dict[str, int] = field(default_factory=dict)
    rotate: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def write_until_stopped(self) -> None:
        """Write, and rotate now and then."""
        while not self._stop.wait(self.pick.uniform(0, 0.02)):
            self._append("access.log", self._squid_line)
            self._append("query.log", self._bind_line)
            if self.rotate and self.pick.random() < 0.005:
                self.pick.choice([self._rename, self._copy_and_truncate])(self.pick.choice(LOGS))

    def stop(self) -> None:
        """Write no more."""
        self._stop.set()

    def _append(self, name: str, line: Callable[[str, str], str]) -> None:
        text = ""
        for _ in range(self.pick.randrange(1, 40)):
            host = self.pick.choice(list(HOSTS)) if self.pick.random() < 0.001 else f"www{self.pick.randrange(1000)}.example"
            client = f"10.20.{self.pick.randrange(4)}.{self.pick.randrange(1, 255)}"
            if host in HOSTS:
                self.planted.append((client, HOSTS[host]))
            text += line(client, host)
        data = text.encode()
        cut = self.pick.randrange(len(data))  # programs write through buffers, so that a reader may find half a line
        with (self.folder / name).open("ab", buffering=0) as log:
            log.write(data[:cut])
            log.write(data[cut:])

    def _squid_line(self, client: str, host: str) -> str:
        took, peer = self.pick.randrange(500), "HIER_DIRECT/203.0.113.9"
        return (
            f"{time.time():.3f} {took:6d} {client} TCP_TUNNEL/200 {self.pick.randrange(9**9)} CONNECT {host}:443 - {peer} -\n"
        )

    def _bind_line(self, client: str, host: str) -> str:
        stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3]
        port = self.pick.randrange(1024, 65536)
        return f"{stamp}Z queries: info: client @0x7f0a {client}#{port} ({host}): query: {host} IN A +E(0)K (10.20.0.53)\n"

    def _shift(self, name: str) -> Path:
        """Make way for NAME.1, as logrotate does: every older log's number goes up; some are compressed on the way."""
        for number in range(self.rotations.get(name, 0), 0, -1):
            for suffix in ("", ".gz"):
                old = self.folder / f"{name}.{number}{suffix}"
                if old.exists():
                    old.rename(self.folder / f"{name}.{number + 1}{suffix}")
        self.rotations[name] = self.rotations.get(name, 0) + 1
        second = self.folder / f"{name}.2"
        if second.exists() and self.pick.random() < 0.7:
            with second.open("rb") as plain, gzip.open(self.folder / f"{name}.2.gz", "wb") as packed:
                shutil.copyfileobj(plain, packed)
            shutil.copystat(second, self.folder / f"{name}.2.gz")
            second.unlink()
        return self.folder / f"{name}.1"

    def _rename(self, name: str) -> None:
        (self.folder / name).rename(self._shift(name))

    def _copy_and_truncate(self, name: str) -> None:
        shutil.copy2(self.folder / name, self._shift(name))
        os.truncate(self.folder / name, 0)


def evidence(findings: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what identifies each finding, in an order of its own: the place in the log, the bytes, what they say."""
    return sorted(
        (f["id"], f["source"]["offset"], f["sha256"], f["time"], f["kind"], f["service"], f["client"]["ip"], f["name"])
        for f in findings
    )


@pytest.mark.timeout(900)
def test_killed_at_a_hundred_moments_nothing_is_lost_and_nothing_twice(tmp_path):
    """Power fails, the kernel kills what is too large, people type kill -9: evidence has to survive all of it.

    Two logs grow and rotate by rename, by copytruncate and by compression all the while, and the receiver refuses now and
    then. Afterwards the findings are those of one uninterrupted replay of the same bytes, and every alert was received.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # pytest shows it when the test fails
    pick = random.Random(seed)
    logs = tmp_path / "logs"
    logs.mkdir()
    writer = Writer(logs, random.Random(seed + 1))
    refusals = random.Random(seed + 2)

    def answer() -> int:
        """Refuse one second in eight, as a receiver does that is being restarted, and now and then for no reason."""
        return refusals.choice([500, 503, 429]) if time.monotonic() % 8 < 1 or refusals.random() < 0.01 else 204

    with lab.webhook(answer) as receiver:
        alerts = tmp_path / "alerts.jsonl"
        sinks = [webhook_sink(tmp_path, receiver), {"type": "file", "name": "file", "path": str(alerts)}]
        config = write_config(tmp_path, [follow(logs / name) for name in LOGS], sinks, session_gap_minutes=0.1)
        thread = threading.Thread(target=writer.write_until_stopped)
        thread.start()
        try:
            starting = time.monotonic()
            with running(config) as daemon:
                start_takes = time.monotonic() - starting
                lab.wait_until(lambda: receiver.taken, "the first alert has arrived")
                writer.rotate = True  # what was rotated away before anyone looked is none of the daemon's business
            for _ in range(KILLS):
                with started(config) as daemon:
                    if pick.random() < 0.5:
                        time.sleep(pick.uniform(0, start_takes))
                    else:
                        lab.wait_until(daemon.works, "the daemon works again")
                        time.sleep(pick.uniform(0, LONGEST_WORK))
                    daemon.kill()
        finally:
            writer.stop()
            thread.join()
        with started(config) as daemon, opened_store(tmp_path) as store:
            lab.wait_until(lambda: len(store.findings()) >= len(writer.planted), "everything is found", secs=60)
            lab.wait_until(lambda: not store.waiting(), "everything is delivered", secs=120)
            assert daemon.stop() == 0
            found = [finding_document(finding) for finding in store.findings()]
            sent = {alert.id for alert in store.alerts()}
    replay = subprocess.run([SENTINEL, "replay", "logs", "--json", logs], check=True, capture_output=True)
    assert evidence(found) == evidence(json.loads(replay.stdout)["findings"])
    assert sorted((f["client"]["ip"], f["service"]) for f in found) == sorted(writer.planted)
    assert {identity for identity, _body in receiver.taken} == sent
    assert {json.loads(line)["id"] for line in alerts.read_text().splitlines()} == sent
    assert receiver.forged == []
