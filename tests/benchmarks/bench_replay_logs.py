#!/usr/bin/env python3
"""How fast `sentinel replay logs` is beside ripgrep, on the same gigabyte of Squid lines, on the same core, in the same run.

    .venv/bin/python tests/benchmarks/bench_replay_logs.py

Prints the table and writes it into docs/performance.md between its markers. The log is made once, in the folder that
SENTINEL_BENCH_DIR names (the system's temporary folder otherwise). ripgrep does less: it counts the lines that contain a name
anywhere; Sentinel also counts all lines, parses what matched, and prints structured findings.
"""

from __future__ import annotations

import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sentinel.config.rules import load_rules

SIZE = 1_000_000_000  # bytes
RUNS = 3
CORE = 0
DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN, END = "<!-- bench_replay_logs: begin -->", "<!-- bench_replay_logs: end -->"
SERVICES = ("app.clearview.ai", "pimeyes.com", "facecheck.id")
ONE_IN = 100_000  # lines that are an access to a service: about what a department's proxy shows


@dataclass(frozen=True)
class Run:
    """What one run took."""

    seconds: float  # by the clock
    busy: float  # seconds of the core; the same on an idle machine, and not longer on one that has other work
    peak_bytes: int  # resident memory at its most
    output: bytes


def lines(seed: int = 1) -> Iterator[bytes]:
    """Yield Squid lines of a busy proxy, in blocks, without end; always the same ones."""
    pick = random.Random(seed)
    kinds, words, ends = (
        ["www", "cdn", "api", "img", "static"],
        ["example", "news", "shop", "clearwater"],
        ["com", "org", "net"],
    )
    hosts = [f"{pick.choice(kinds)}.{pick.choice(words)}{number}.{pick.choice(ends)}" for number in range(3000)]
    now = 1_700_000_000.0
    while True:
        block = []
        for _ in range(20_000):
            now += pick.random() * 0.02
            host = pick.choice(SERVICES) if pick.random() < 1 / ONE_IN else pick.choice(hosts)
            client = f"10.{pick.randint(0, 40)}.{pick.randint(0, 255)}.{pick.randint(1, 254)}"
            took, size, peer = (
                pick.randint(1, 90_000),
                pick.randint(500, 900_000),
                f"HIER_DIRECT/203.0.113.{pick.randint(1, 254)}",
            )
            if pick.random() < 0.7:
                block.append(f"{now:.3f} {took:6d} {client} TCP_TUNNEL/200 {size} CONNECT {host}:443 - {peer} -\n")
            else:
                url = f"http://{host}/a/b/{pick.randint(1, 10**9)}.html"
                block.append(
                    f"{now:.3f} {took:6d} {client} TCP_MISS/200 {size} GET {url} user{pick.randint(1, 500)} {peer} text/html\n"
                )
        yield "".join(block).encode()


def log_file(folder: Path) -> Path:
    """Return the log, made if it is not there yet."""
    path = folder / "sentinel-bench-squid-1.log"
    if not path.exists():
        print(f"making {path}", file=sys.stderr)
        written = 0
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            for block in lines():
                written += file.write(block)
                if written >= SIZE:
                    break
        partial.rename(path)
    return path


def domains(folder: Path) -> Path:
    """Write the names that the built-in rules look for, one a line, as ripgrep's patterns."""
    names = set()
    for service in load_rules([]).services.values():
        for indicator in service.indicators:
            url = indicator.url and not indicator.url.shared and indicator.url.host
            pattern = indicator.host_pattern and indicator.host_pattern.partition(".")[2]
            names.add(indicator.domain or indicator.host or url or pattern)
    path = folder / "sentinel-bench-domains"
    path.write_text("".join(f"{name}\n" for name in sorted(filter(None, names))))
    return path


def sentinel() -> str:
    """Return the `sentinel` of this Python's environment."""
    return str(Path(sys.executable).with_name("sentinel"))


def run(command: Sequence[str | Path]) -> Run:
    """Run a command on one core; its output goes to a file, since a pipe would make us part of what is measured."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(["taskset", "-c", str(CORE), *command], stdout=output, stderr=subprocess.DEVNULL)
        _pid, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{command[0]} ended with {process.returncode}")
        output.seek(0)
        return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output.read())


def table(size: int, ours: Sequence[Run], theirs: Sequence[Run]) -> str:
    """Return the results as Markdown."""
    said = json.loads(ours[0].output)
    records = said["coverage"]["inputs"][0]["records"]
    rows = [
        ("`sentinel replay logs --json`", ours, f"{records:,} lines counted, {len(said['findings'])} findings"),
        (
            "`rg -F -i -c -f domains`",
            theirs,
            f"{int(theirs[0].output)} lines that contain a name; maps the file, which counts as memory",
        ),
    ]
    text = "| on one core | CPU seconds, each run | by the clock | GB/s, median | peak memory | says |\n"
    text += "| --- | --- | --- | --- | --- | --- |\n"
    for command, runs, says in rows:
        each, clock = (", ".join(f"{value:.2f}" for value in values) for values in _times(runs))
        peak = max(one.peak_bytes for one in runs) / 1e6
        text += f"| {command} | {each} | {clock} | {size / median(runs) / 1e9:.2f} | {peak:.0f} MB | {says} |\n"
    version = subprocess.run(["rg", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
    return (
        f"{text}\nSentinel is **{median(theirs) / median(ours):.1f} times** as fast as ripgrep {version}. "
        f"{size / 1e9:.2f} GB of Squid lines in the page cache, start-up included, "
        f"{processor()}, Python {platform.python_version()}, "
        f"{datetime.now(UTC):%Y-%m-%d}.\n"
    )


def median(runs: Sequence[Run]) -> float:
    """Return the median of the runs' seconds of the core."""
    return statistics.median(one.busy for one in runs)


def _times(runs: Sequence[Run]) -> tuple[list[float], list[float]]:
    return [one.busy for one in runs], [one.seconds for one in runs]


def processor() -> str:
    """Return the processor's name as Linux gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write(text: str) -> None:
    """Put *text* between the markers of the document."""
    document = DOCUMENT.read_text()
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}{END}{after}")


def main() -> None:
    """Measure, print, write."""
    for needed in ("rg", "taskset"):
        if shutil.which(needed) is None:
            sys.exit(f"{needed} is not installed")
    folder = Path(os.environ.get("SENTINEL_BENCH_DIR", tempfile.gettempdir()))
    log, names = log_file(folder), domains(folder)
    with log.open("rb") as file:  # both find it in the page cache; not in one piece, which a child would inherit as its peak
        while file.read(1 << 20):
            pass
    ours, theirs = [], []
    for _ in range(RUNS):  # by turns, so that a slow minute of the machine meets both
        ours.append(run([sentinel(), "replay", "logs", "--json", log]))
        theirs.append(run(["rg", "-F", "-i", "-c", "-f", names, log]))
    result = table(log.stat().st_size, ours, theirs)
    print(result)
    write(result)


if __name__ == "__main__":
    main()
