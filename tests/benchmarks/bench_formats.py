#!/usr/bin/env python3
"""How fast each format is: what the scanner passes over in GB a second, and records a second where each one is parsed.

    .venv/bin/python tests/benchmarks/bench_formats.py

Prints the table and writes it into docs/performance.md between its markers; ends with 1 when a format whose names are spelt
plain is scanned at less than 1 GB/s. Everything is seconds of one core, in this process. Each log is made of the format's own
line in tests/data/formats/lines, over and over with other hosts and clients, one in 100,000 of them an access to a service.
"""

from __future__ import annotations

import platform
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from measuring import processor, write

from sentinel.extract import Extractor, Ruling
from sentinel.formats import FORMATS
from sentinel.formats.clock import StreamClock
from sentinel.formats.format import LogFormat, Malformed
from sentinel.formats.reader import Reader
from sentinel.policy.policy import Policy
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import load_catalog
from sentinel.sources.batch import Batch, Input

LINES = Path(__file__).parents[1] / "data" / "formats" / "lines"
SIZE = 64 * 1024 * 1024
BATCH = 1024 * 1024
PARSED_SECS = 0.5
ONE_IN = 100_000
LEAST = 1.0  # GB/s
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def log(name: str) -> tuple[bytes, list[bytes]]:
    """Return a format's headers, and blocks of whole lines that together are as large as is measured."""
    header, newline, record = (LINES / f"{name}.log").read_text().removesuffix("\n").rpartition("\n")
    pick = random.Random(1)
    hosts = [f"{pick.choice(('www', 'cdn', 'api'))}.{pick.choice(('example', 'news', 'shop'))}{n}.org" for n in range(3000)]
    blocks, size, number = [], 0, 0
    while size < SIZE:
        lines, length = [], 0
        while length < BATCH:
            host = "pimeyes.com" if pick.random() < 1 / ONE_IN else pick.choice(hosts)
            labels = "".join(f"({len(label)}){label}" for label in host.split(".")) + "(0)"
            number += 1
            line = (
                record.replace("@n@", str(pick.randint(1, 250)))
                .replace("@id@", f"{number:011X}")
                .replace("@host@", host)
                .replace("@labels@", labels)
            )
            lines.append(line.replace("@path@", f"/a/{pick.randint(1, 10**6)}").replace("@and@", "\n") + "\n")
            length += len(lines[-1])
        block = "".join(lines).encode()
        blocks += [block] * 8  # the same lines again: making them takes longer than reading them
        size += 8 * len(block)
    return (header + newline).encode(), blocks


def scanned(ruling: Ruling, name: str, header: bytes, blocks: list[bytes]) -> float:
    """Return GB a second, the scanner's needles compiled before."""
    source = Input("log", "key", NOW, None, name, "UTC")
    best = 0.0
    for _ in range(3):
        extractor = Extractor(ruling)
        extractor.take(Batch(source, memoryview(header + blocks[0]), 0, {}, NOW, ends=False))
        started = time.process_time()
        for block in blocks:
            extractor.take(Batch(source, memoryview(block), 0, {}, NOW, ends=False))
        best = max(best, sum(map(len, blocks)) / (time.process_time() - started) / 1e9)
    return best


def parsed(log_format: LogFormat, header: bytes, block: bytes) -> float:
    """Return records a second."""
    reader = Reader(log_format, StreamClock(UTC, NOW))
    for line in header.splitlines():
        reader.parse(line)
    records = block.splitlines()[:2000]
    started, count = time.process_time(), 0
    while time.process_time() - started < PARSED_SECS:
        for record in records:
            try:
                reader.parse(record)
            except Malformed as error:
                sys.exit(f"{log_format.name}: {error}")
        count += len(records)
    return count / (time.process_time() - started)


def main() -> None:
    """Measure each format that has lines, write the table, and tell which are too slow."""
    ruling = Ruling.of(load_catalog([builtin_rules()]), Policy())
    rows, slow = [], []
    for name in sorted(path.stem for path in LINES.iterdir() if FORMATS[path.stem].made_as != "reader"):
        header, blocks = log(name)
        rate, records = scanned(ruling, name, header, blocks), parsed(FORMATS[name], header, blocks[0])
        spelling = FORMATS[name].spelling
        rows.append(f"| `{name}` | {spelling} | {rate:.1f} | {records:,.0f} |")
        print(rows[-1], flush=True)
        if spelling == "plain" and rate < LEAST:
            slow.append(name)
    said = (
        f"Seconds of one core, {SIZE // 1024**2} MiB of each in batches of 1 MiB, {len(ruling.catalog.services)} services, one "
        f"line in {ONE_IN:,} an access; {processor()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    )
    table = "\n".join(["| format | spelling | scanned, GB/s | parsed, records/s |", "| --- | --- | --- | --- |", *rows])
    write("bench_formats", f"{table}\n\n{said}.\n")
    if slow:
        sys.exit(f"below {LEAST} GB/s: {', '.join(slow)}")


if __name__ == "__main__":
    main()
