#!/usr/bin/env python3
"""How much traffic `sentinel run` takes from an interface, and what that costs: a minute of mixed traffic at the highest rate.

    sudo PYTHONPATH=. .venv/bin/python tests/benchmarks/bench_live.py

Prints the table and writes it into docs/performance.md between its markers. tcpreplay sends a capture again and again, each
time from other clients, over the wire between two network namespaces. The sender takes a core for itself: where there are two,
Sentinel has what is left of the other.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from measuring import processor, write

from tests.integration.daemon import opened_store, started, write_config
from tests.integration.mixed_traffic import Traffic, mixed
from tests.integration.test_live import account, expected, reaching_python
from tests.integration.wires import FAR, WATCHED, Wire, wire, within

SECS = 60


@dataclass(frozen=True)
class Measured:
    """What a minute showed."""

    sent: int
    sent_bytes: int
    secs: float
    reached: int  # packets that passed the kernel's filter
    dropped: int
    busy: float  # seconds of a core
    peak_bytes: int
    planted: int
    found: int


def measure(traffic: Traffic, folder: Path) -> Measured:
    """Send *traffic* for a minute past a daemon, and return what came of it."""
    traffic.write(folder / "mixed.pcap")
    passing = reaching_python(traffic)
    config = write_config(folder, [{"type": "interface", "interface": WATCHED}], [])
    with wire() as cable, within(cable.namespace), started(config) as daemon:
        while "interface opened" not in daemon.log():
            time.sleep(0.1)
        time.sleep(1)
        before = _busy(daemon.process.pid)
        sent, sent_bytes, secs = _sent(cable, folder / "mixed.pcap")
        due = expected(passing, sent)
        with opened_store(folder) as store:
            while not (known := account(store)) or known.records < due:
                time.sleep(0.2)
        busy, peak = _busy(daemon.process.pid) - before, _peak(daemon.process.pid)
        daemon.stop()
    with opened_store(folder) as store:
        known = account(store)
        found = {(finding.observation.kind, finding.name) for finding in store.findings()}
    assert known is not None
    assert known.records == due, "sent is what was seen and what was dropped"
    planted = {(kind, name) for kind, names in traffic.planted.items() for name in names}
    return Measured(sent, sent_bytes, secs, known.parsed, known.unparsed, busy, peak, len(planted), len(planted & found))


def _sent(cable: Wire, capture: Path) -> tuple[int, int, float]:
    """Send the capture for a minute; return packets, bytes, seconds."""
    command = ["ip", "netns", "exec", cable.far, "tcpreplay", "--quiet", "--topspeed", "--loop=1000000", "--unique-ip"]
    command += ["--preload-pcap", f"--duration={SECS}", f"--intf1={FAR}", str(capture)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    numbers = re.search(r"Actual: (\d+) packets \((\d+) bytes\) sent in ([\d.]+) seconds", said)
    assert numbers
    return int(numbers[1]), int(numbers[2]), float(numbers[3])


def _busy(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> int:
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024  # type: ignore[index]


def table(one: Measured) -> str:
    """Return the result as Markdown."""
    text = "| sent | rate | reached Python | dropped | CPU, of one core | peak memory | planted accesses found |\n"
    text += "| --- | --- | --- | --- | --- | --- | --- |\n"
    rate = f"{one.sent_bytes * 8 / one.secs / 1e9:.2f} Gbit/s, {one.sent / one.secs / 1000:,.0f},000 packets/s"
    text += f"| {one.sent:,} packets in {one.secs:.0f} s | {rate} | {one.reached:,} ({one.reached / one.sent:.1%}) "
    text += f"| {one.dropped:,} | {one.busy / one.secs:.0%} | {one.peak_bytes / 1e6:.0f} MB, 64 of them the ring "
    text += f"| {one.found} of {one.planted} names |\n"
    machine = f"{os.cpu_count()} cores for both and whatever else ran (load {os.getloadavg()[0]:.0f}), {processor()}"
    return (
        f"{text}\n`sentinel run` on one end of a veth pair, `tcpreplay --topspeed` on the other, {machine}, "
        f"Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}. Reached and dropped add up to what "
        "the filter lets through of what was sent.\n"
    )


def main() -> None:
    """Measure, print, write."""
    with tempfile.TemporaryDirectory() as folder:
        result = table(measure(mixed(1200, down=100_000), Path(folder)))
    print(result)
    write("bench_live", result)


if __name__ == "__main__":
    main()
