"""Rules change while thousands of lines a second come in: nothing is lost or judged twice, all by the rules of its time."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import pytest

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.matcher import Matcher
from sentinel.signatures.service import Service
from tests.integration.daemon import Daemon, follow, opened_store, running, write_config
from tests.integration.lab import wait_until

CHANGES = 20
REFUSED = "reload refused, the last good set stays"
BLOCK = 400  # lines at a time
WITHIN = 180  # seconds for what takes a moment on a machine that has nothing else to do
PAUSE = 0.05  # seconds between two blocks: up to 8,000 lines a second, and what a busy machine can do

RULE = """\
schema: 1
id: {id}
name: {id}
category: face-search
severity: high
references: ["https://{host}/"]
indicators: [{{domain: {host}}}]
tests: {{match: [{{dns: {dns}}}], no_match: [{{dns: x{host}}}]}}
"""
BAD = [
    "schema: 1\nid: turning\nname: [",
    RULE.format(id="turning", host="other.example", dns="elsewhere.example"),  # its own case fails
    RULE.format(id="turning", host="co.uk", dns="co.uk"),
    "",
]


@dataclass
class Writer:
    """A proxy whose log grows until it is stopped. Each block has one access to what is always watched, one to what turns."""

    log: Path
    steady: int = 0
    lines: int = 0
    turning: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        """Write until stopped, and then a few blocks more."""
        with self.log.open("a", buffering=1 << 16) as file:
            last = 5
            while last:
                last -= self._stop.is_set()
                for _ in range(BLOCK - 2):
                    file.write(self._line("www.example.org", self.lines))
                file.write(self._line("steady.example", self.steady))
                file.write(self._line(f"turning{self.turning}.example", self.steady))
                self.steady += 1
                file.flush()
                self._stop.wait(PAUSE)

    def _line(self, host: str, number: int) -> str:
        self.lines += 1
        time = 1_795_411_169 + self.lines // 5000
        return f"{time}.000 3 10.0.0.1 TCP_MISS/200 374 GET http://{host}/{number} - HIER_DIRECT/192.0.2.9 text/html\n"

    def stop(self) -> None:
        """Come to an end."""
        self._stop.set()


def events(daemon: Daemon, name: str) -> list[dict[str, str]]:
    """Return what the daemon logged under a name."""
    lines = (json.loads(line) for line in daemon.log().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == name]


def put(path: Path, text: str) -> None:
    """Replace a file as editors do."""
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.rename(path)


def change(daemon: Daemon, rules: Path, writer: Writer) -> Iterator[int]:
    """Change the rules again and again, a bad set in between, told by SIGHUP or, every third time, by the files alone."""
    found_by(daemon, 1)
    for number in range(1, CHANGES + 1):
        if number % 2:
            refused = len(events(daemon, REFUSED))
            put(rules / "turning.yaml", BAD[number // 2 % len(BAD)])
            tell(daemon, number)
            wait_until(lambda seen=refused: len(events(daemon, REFUSED)) > seen, "it refuses", WITHIN)
        put(rules / "turning.yaml", RULE.format(id="turning", host=f"turning{number}.example", dns=f"turning{number}.example"))
        writer.turning = number
        tell(daemon, number)
        found_by(daemon, number + 1)
        yield number


def found_by(daemon: Daemon, rulesets: int) -> None:
    """Wait until so many rule sets have made a finding: the store keeps each with its first."""
    with opened_store(daemon.folder) as store:
        wait_until(lambda: len(store.rulesets()) == rulesets, "it finds by the rules in force", WITHIN)


def tell(daemon: Daemon, number: int) -> None:
    """Send SIGHUP; every third time leave it to the daemon to see the change."""
    if number % 3:
        os.kill(daemon.process.pid, signal.SIGHUP)


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_no_record_is_lost_or_judged_twice_while_rules_change(tmp_path: Path) -> None:
    """Twenty changes and ten bad sets under load; each finding can be made again from the rules that the store kept of it."""
    rules, log = tmp_path / "rules", tmp_path / "access.log"
    rules.mkdir()
    (rules / "steady.yaml").write_text(RULE.format(id="steady", host="steady.example", dns="steady.example"))
    (rules / "turning.yaml").write_text(RULE.format(id="turning", host="turning0.example", dns="turning0.example"))
    log.touch()
    config = write_config(tmp_path, [follow(log)], [], rules=[str(rules)], builtin_rules=False)
    writer = Writer(log)
    with running(config) as daemon:
        writing = threading.Thread(target=writer.write)
        writing.start()
        try:
            changes = list(change(daemon, rules, writer))
        finally:
            writer.stop()
            writing.join()
        with opened_store(tmp_path) as store:
            wait_until(lambda: sum(one.records for one in store.inputs()) == writer.lines, "it has read everything", WITHIN)
        swaps, prepared = events(daemon, "reloaded"), events(daemon, "reload prepared")
        assert daemon.stop() == 0
    assert changes == list(range(1, CHANGES + 1))
    with opened_store(tmp_path) as store:
        findings = sorted(store.findings(), key=lambda one: one.origin.offset or 0)
        kept = store.rulesets()
        assert sum(one.records for one in store.inputs()) == writer.lines
    steady = [one for one in findings if one.service == "steady"]
    assert [one.observation.path for one in steady] == [f"/{number}" for number in range(writer.steady)]
    assert len({one.origin.offset for one in findings}) == len(findings)
    in_turn = [digest for digest, _ in groupby(one.ruleset[:12] for one in findings)]
    in_force = [swaps[0]["before"], *(one["after"] for one in swaps if one["after"] != one["before"])]
    assert in_turn == in_force, "each rule set was in force once, in the order of the log"
    assert len(in_turn) == CHANGES + 1
    told = [one for event in prepared for one in event.get("indicators_added", ())]
    assert told == [f"turning: domain turning{number}.example" for number in range(1, CHANGES + 1)]
    matchers = {digest: Matcher(Catalog.of(map(Service.of, json.loads(text)))) for digest, text in kept.items()}
    for one in findings:
        again = {(match.service.id, match.indicator) for match in matchers[one.ruleset].match(one.observation)}
        assert (one.service, one.indicator) in again
