"""Makes the small captures that are kept, and what tshark says of them: `python -m tests.oracle.keep`, as root.

They let the quick tests have an oracle, without the programs that made the captures and without tshark.
"""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

from tests.oracle.day import WAYS, lived
from tests.oracle.dissection import dissected, version
from tests.oracle.facts import Ends, Fact, Facts

KEPT = Path(__file__).parent.parent / "data" / "oracle"
MANY = 4


def kept() -> list[Path]:
    """Return the captures that are kept."""
    return sorted(KEPT.glob("*.gz"))


def facts_of(capture: Path) -> Facts:
    """Return what the oracle said of a capture when it was made."""
    facts = Facts()
    for line in _beside(capture).read_text().splitlines():
        if line.startswith("#"):
            continue
        count, field, client, client_port, server, server_port, value = line.split("\t")
        facts[Fact(field, Ends(client, int(client_port), server, int(server_port)), value)] = int(count)  # type: ignore[arg-type]
    return facts


def said_by(capture: Path) -> str:
    """Return which oracle it was."""
    return _beside(capture).read_text().partition("\n")[0].removeprefix("# ")


def _beside(capture: Path) -> Path:
    return capture.with_name(capture.name.partition(".")[0] + ".tsv")


def main() -> None:
    """Live a short day of each kind, and keep it."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for name, way in WAYS.items():
        ending = "pcap" if way.writer == "tcpdump" else "pcapng"
        with tempfile.TemporaryDirectory() as folder:
            capture = Path(folder) / f"day.{ending}"
            lived(Path(folder), capture, way, MANY)
            facts = dissected(capture)
            to = KEPT / f"{name.replace(' ', '-')}.{ending}.gz"
            to.write_bytes(gzip.compress(capture.read_bytes(), mtime=0))
        lines = ["\t".join(map(str, (count, fact.field, *fact.ends, fact.value))) for fact, count in sorted(facts.items())]
        _beside(to).write_text("\n".join([f"# {version()}", *lines]) + "\n")


if __name__ == "__main__":
    main()
