"""Names whom the records of a hundred made departments leave no doubt about, and writes how often that was wrong.

    python tests/benchmarks/bench_identity.py [--departments 100] [--write]

The departments have 50 to 5,000 people; of each one, so many visits are asked about. With --write, the table in
docs/identity.md is replaced.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.identity.department import DAYS, Maker  # noqa: E402
from tests.identity.weighing import Figures, figures, live_figures  # noqa: E402

DOCUMENT = ROOT / "docs" / "identity.md"
ASKED = 400
LIVE = 4
"""So many departments are also asked about while their records still come in."""


def main() -> None:
    """Measure, and print or write the table."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--departments", type=int, default=100)
    given.add_argument("--jobs", type=int, default=2)
    given.add_argument("--write", action="store_true")
    asked = given.parse_args()
    rows = {"50 to 499": Figures(), "500 to 5,000": Figures()}
    live = Figures()
    with multiprocessing.Pool(asked.jobs) as pool:
        for nth, found in enumerate(pool.imap_unordered(measured, range(asked.departments)), 1):
            rows["50 to 499" if found.people < 500 else "500 to 5,000"] += found
            print(nth, found.people, found.visits, found.wrong, f"{found.said_share:.3f}", file=sys.stderr, flush=True)
        for found in pool.imap_unordered(measured_live, range(LIVE)):
            live += found
    text = _table(rows, live)
    if asked.write:
        page = DOCUMENT.read_text(encoding="utf-8")
        begin, end = "<!-- measured -->\n", "<!-- /measured -->"
        DOCUMENT.write_text(re.sub(f"{begin}.*{end}", lambda _: begin + text + end, page, flags=re.DOTALL), encoding="utf-8")
    print(text)


def measured(seed: int) -> Figures:
    """Return the figures of one department, of 50 to 5,000 people: more of them are small than large."""
    made = Maker(round(50 * 100 ** (random.Random(seed).random() ** 4)), seed).make()
    random.Random(seed).shuffle(made.visits)
    del made.visits[ASKED:]
    return figures(made)


def measured_live(seed: int) -> Figures:
    """Return the figures of a department of 50 whose records still come in."""
    return live_figures(Maker(50, seed).make(), every=240)


def _table(rows: dict[str, Figures], live: Figures) -> str:
    total = Figures()
    for one in rows.values():
        total += one
    lines = ["| people | departments | visits | named | wrongly | wrong names | knowable | of it said |", "| --- " * 8 + "|"]
    for name, one in {**rows, "all": total, "all, asked while records still came in": live}.items():
        named = one.right + one.wrong
        lines.append(
            f"| {name} | {one.departments} | {one.visits:,} | {named:,} | {one.wrong} | {one.wrong_rate:.3%} "
            f"| {one.knowable:,} | {one.said_share:.1%} |"
        )
    return "\n".join(lines) + f"\n\nOf each department at most {ASKED:,} visits within {DAYS} days were asked about.\n"


if __name__ == "__main__":
    main()
