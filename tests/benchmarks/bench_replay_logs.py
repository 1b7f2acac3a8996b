#!/usr/bin/env python3
"""How fast `sentinel replay logs` is beside ripgrep, on the same gigabyte of Squid lines, on the same core, in the same run.

    .venv/bin/python tests/benchmarks/bench_replay_logs.py

Prints the table and writes it into docs/performance.md between its markers. The log is made once, in the folder that
SENTINEL_BENCH_DIR names (the system's temporary folder otherwise). ripgrep does less: it counts the lines that contain a name
anywhere; Sentinel also counts all lines, parses what matched, and prints structured findings.
"""

from __future__ import annotations

import json
import platform
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from measuring import HEAD, Run, folder, into_the_page_cache, median, processor, row, run, sentinel, write

from sentinel.config.rules import load_rules

SIZE = 1_000_000_000  # bytes
RUNS = 3
SERVICES = ("app.clearview.ai", "pimeyes.com", "facecheck.id")
ONE_IN = 100_000  # lines that are an access to a service: about what a department's proxy shows


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


def log_file(into: Path) -> Path:
    """Return the log, made if it is not there yet."""
    path = into / "sentinel-bench-squid-1.log"
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


def domains(into: Path) -> Path:
    """Write the names that the built-in rules look for, one a line, as ripgrep's patterns."""
    names = set()
    for service in load_rules([]).services.values():
        for indicator in service.indicators:
            url = indicator.url and not indicator.url.shared and indicator.url.host
            pattern = indicator.host_pattern and indicator.host_pattern.partition(".")[2]
            names.add(indicator.domain or indicator.host or url or pattern)
    path = into / "sentinel-bench-domains"
    path.write_text("".join(f"{name}\n" for name in sorted(filter(None, names))))
    return path


def table(size: int, ours: Sequence[Run], theirs: Sequence[Run]) -> str:
    """Return the results as Markdown."""
    said = json.loads(ours[0].output)
    records = said["coverage"]["inputs"][0]["records"]
    named = f"{int(theirs[0].output)} lines that contain a name; maps the file, which counts as memory"
    text = HEAD
    text += row("`sentinel replay logs --json`", size, ours, f"{records:,} lines counted, {len(said['findings'])} findings")
    text += row("`rg -F -i -c -f domains`", size, theirs, named)
    version = subprocess.run(["rg", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
    return (
        f"{text}\nSentinel is **{median(theirs) / median(ours):.1f} times** as fast as ripgrep {version}. "
        f"{size / 1e9:.2f} GB of Squid lines in the page cache, start-up included, "
        f"{processor()}, Python {platform.python_version()}, "
        f"{datetime.now(UTC):%Y-%m-%d}.\n"
    )


def main() -> None:
    """Measure, print, write."""
    for needed in ("rg", "taskset"):
        if shutil.which(needed) is None:
            sys.exit(f"{needed} is not installed")
    log, names = log_file(folder()), domains(folder())
    into_the_page_cache(log)
    ours, theirs = [], []
    for _ in range(RUNS):  # by turns, so that a slow minute of the machine meets both
        ours.append(run([sentinel(), "replay", "logs", "--json", log]))
        theirs.append(run(["rg", "-F", "-i", "-c", "-f", names, log]))
    result = table(log.stat().st_size, ours, theirs)
    print(result)
    write("bench_replay_logs", result)


if __name__ == "__main__":
    main()
