"""What the benchmarks share: commands run on one core, and tables written into docs/performance.md."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CORE = 0
DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"


@dataclass(frozen=True)
class Run:
    """What one run took."""

    seconds: float  # by the clock
    busy: float  # seconds of the core; the same on an idle machine, and not longer on one that has other work
    peak_bytes: int  # resident memory at its most
    output: bytes


def folder() -> Path:
    """Return where large files are kept."""
    return Path(os.environ.get("SENTINEL_BENCH_DIR", tempfile.gettempdir()))


def sentinel() -> str:
    """Return the `sentinel` of this Python's environment."""
    return str(Path(sys.executable).with_name("sentinel"))


def run(command: Sequence[str | Path], cores: str = str(CORE), accept: Sequence[int] = (0,)) -> Run:
    """Run a command on one core; its output goes to a file, since a pipe would make us part of what is measured.

    *accept* are the exit statuses that are no failure: ripgrep's is 1 when it finds nothing.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(["taskset", "-c", cores, *command], stdout=output, stderr=subprocess.DEVNULL)
        _pid, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in accept:
            sys.exit(f"{command[0]} ended with {process.returncode}")
        output.seek(0)
        return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output.read())


def median(runs: Sequence[Run]) -> float:
    """Return the median of the runs' seconds of the core."""
    return statistics.median(one.busy for one in runs)


def row(command: str, size: int, runs: Sequence[Run], says: str) -> str:
    """Return a line of a table with `HEAD`."""
    each, clock = (", ".join(f"{value:.2f}" for value in values) for values in _times(runs))
    peak = max(one.peak_bytes for one in runs) / 1e6
    return f"| {command} | {each} | {clock} | {size / median(runs) / 1e9:.2f} | {peak:.0f} MB | {says} |\n"


HEAD = """\
| on one core | CPU seconds, each run | by the clock | GB/s, median | peak memory | says |
| --- | --- | --- | --- | --- | --- |
"""


def _times(runs: Sequence[Run]) -> tuple[list[float], list[float]]:
    return [one.busy for one in runs], [one.seconds for one in runs]


def into_the_page_cache(path: Path) -> None:
    """Read *path*, so that all find it in memory; not in one piece, which a child would inherit as its peak."""
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass


def processor() -> str:
    """Return the processor's name as Linux gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write(name: str, text: str) -> None:
    """Put *text* between the markers of the document that bear the benchmark's *name*."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = DOCUMENT.read_text().partition(begin)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(f"{before}{begin}\n{text}{end}{after}")
