#!/usr/bin/env python3
"""What it costs to watch for 1, 1,000, 10,000, 100,000 and 1,000,000 names more, beside ripgrep with the same list.

    .venv/bin/python tests/benchmarks/bench_scale.py

Prints the table and writes it into docs/performance.md between its markers. Each list is a feed in a settings file. A process
of its own reads it, compiles it and takes a log through the extractor, as a replay does, once when nothing was kept by an
earlier run, and once when it was. All of it is seconds of a core, by turns with ripgrep on the same log.
"""

from __future__ import annotations

import json
import os
import platform
import random
import re
import shutil
import statistics
import string
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench_replay_logs import log_file
from measuring import CORE, Run, folder, processor, run, write

COUNTS = (1, 1_000, 10_000, 100_000, 1_000_000)
RUNS = 3
SIZE = 400_000_000  # bytes of the log
ENDS = ("com", "net", "org", "xyz", "top", "info", "ru", "cn", "de", "co.uk")
RIPGREP_UP_TO = 10_000  # it refuses 100,000; with a higher --regex-size-limit it takes minutes


@dataclass
class Measured:
    """What a list of names came to: seconds and bytes, without and with what was kept, and ripgrep's run."""

    names: int
    first: dict[str, float]
    again: dict[str, float]
    theirs: Run | None


def names(count: int, into: Path) -> Path:
    """Write a list of *count* made-up names, and return its file."""
    pick = random.Random(count)
    made: set[str] = set()
    while len(made) < count:
        label = "".join(pick.choices(string.ascii_lowercase + "-" + string.digits, k=pick.randint(6, 18))).strip("-")
        made.add(f"{label or 'x'}.{pick.choice(ENDS)}")
    path = into / f"names-{count}"
    path.write_text("".join(f"{name}\n" for name in sorted(made)))
    return path


def settings(path: Path, log: Path) -> Path:
    """Write a settings file that has the list as a feed."""
    config = path.with_suffix(".yaml")
    config.write_text(
        json.dumps({"sources": [{"type": "file", "path": str(log)}], "feeds": [{"id": "list", "path": str(path)}]})
    )
    return config


def measure_here(config: Path, log: Path) -> None:
    """Load and compile the rules, take *log* through them, and print seconds, and bytes of memory at the most."""
    from sentinel.config.loading import load
    from sentinel.extract import Extractor, Ruling
    from sentinel.sources.archive import Archive

    started = time.process_time()
    loaded = load(config)
    ruling = Ruling.of(loaded.catalog, loaded.policy)
    read = time.process_time()
    ruling.matcher.scan(memoryview(b"\n"), "plain")
    compiled, scans = time.process_time(), []
    for _ in range(RUNS):
        extractor, began = Extractor(ruling), time.process_time()
        found = sum(len(extractor.take(batch)[0]) for batch in Archive(str(log)).batches())
        scans.append(time.process_time() - began)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    spent = {"read": read - started, "compile": compiled - read, "scan": statistics.median(scans)}
    print(json.dumps({**spent, "bytes": int(peak[1]) * 1024, "found": found}))


def measured(config: Path, log: Path) -> dict[str, float]:
    """Return what `measure_here` prints in a process of its own."""
    command = ["taskset", "-c", str(CORE), sys.executable, __file__, "--here", str(config), str(log)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def ripgrep(names_: Path, count: int, log: Path) -> Run | None:
    """Run ripgrep with the list, if it is one that it can do."""
    if count > RIPGREP_UP_TO:
        return None
    return run(["rg", "-F", "-i", "-c", "-f", names_, log], accept=(0, 1))


def table(all_of_it: list[Measured], size: int) -> str:
    """Return the results as Markdown."""
    base = all_of_it[0].again["scan"]
    text = "| names | read and compiled, first time | again | memory | scanned | GB/s | slower than 1 | ripgrep, all in all |\n"
    text += "| ---: | --- | --- | --- | --- | --- | --- | --- |\n"
    for one in all_of_it:
        first, again = (f"{each['read']:.1f} s + {each['compile']:.1f} s" for each in (one.first, one.again))
        memory = f"{one.first['bytes'] / 1e6:.0f} MB, {one.again['bytes'] / 1e6:.0f} MB"
        scan = one.again["scan"]
        theirs = f"{one.theirs.busy:.1f} s, {one.theirs.peak_bytes / 1e6:.0f} MB" if one.theirs else "not run"
        text += (
            f"| {one.names:,} | {first} | {again} | {memory} | {scan:.2f} s | {size / scan / 1e9:.2f} | {scan / base - 1:+.0%} "
        )
        text += f"| {theirs} |\n"
    version = subprocess.run(["rg", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
    return (
        f"{text}\nNames come on top of the built-in catalog. Seconds of a core; {size / 1e9:.2f} GB of Squid lines in the page "
        f"cache; ripgrep {version} with `-F -i -c -f`, which refuses 100,000 names, and maps the file, which counts as memory. "
        f"{processor()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.0f} on "
        f"{os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}.\n"
    )


def part(log: Path, into: Path) -> Path:
    """Copy the log's beginning, whole lines."""
    path = into / "access.log"
    with log.open("rb") as file, path.open("wb") as copy:
        while copy.tell() < SIZE:  # not in one piece, which a child would inherit as its peak
            copy.writelines(file.readlines(1 << 20))
    return path


def main() -> None:
    """Measure, print, write."""
    for needed in ("rg", "taskset"):
        if shutil.which(needed) is None:
            sys.exit(f"{needed} is not installed")
    with tempfile.TemporaryDirectory(dir=folder()) as made:
        os.environ["XDG_CACHE_HOME"] = f"{made}/cache"  # nothing was kept
        log = part(log_file(folder()), Path(made))
        results = []
        for count in COUNTS:
            path = names(count, Path(made))
            config = settings(path, log)
            results.append(Measured(count, measured(config, log), measured(config, log), ripgrep(path, count, log)))
            print(results[-1], file=sys.stderr, flush=True)
        result = table(results, log.stat().st_size)
    print(result)
    write("bench_scale", result)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        measure_here(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
