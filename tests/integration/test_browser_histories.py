"""The histories of real browsers, read while they run and hold them, and after they have gone."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sentinel.sources.archive import Archive
from tests.integration import lab
from tests.integration.daemon import SENTINEL

NAME = "pimeyes.com"
CHROMIUM = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
    "--disable-component-update", "--disable-background-networking",
]  # fmt: skip
FIREFOX = {
    "network.dns.localDomains": f'"{NAME}"',
    "browser.shell.checkDefaultBrowser": "false",
    "datareporting.policy.dataSubmissionEnabled": "false",
    "app.update.auto": "false",
    "dom.security.https_first": "false",
    "dom.security.https_first_schemeless": "false",
    "browser.aboutwelcome.enabled": "false",
}


@contextlib.contextmanager
def chromium(directory: Path, url: str) -> Iterator[Path]:
    """Run Chromium on a page; yield its history."""
    directory.mkdir()
    profile = directory / "profile"
    command = [
        lab.program("chromium"),
        *CHROMIUM,
        f"--user-data-dir={profile}",
        f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
        url,
    ]
    history = profile / "Default" / "History"
    with browsing(command, directory):
        yield history


@contextlib.contextmanager
def firefox(directory: Path, url: str) -> Iterator[Path]:
    """Run Firefox on a page; yield its history."""
    directory.mkdir()
    profile = directory / "profile"
    profile.mkdir()
    (profile / "user.js").write_text("".join(f'user_pref("{name}", {value});\n' for name, value in FIREFOX.items()))
    command = [lab.program("firefox-esr"), "--headless", "--no-remote", "--profile", profile, url]
    with browsing(command, directory):
        yield profile / "places.sqlite"


@contextlib.contextmanager
def browsing(command: list[str | Path], directory: Path) -> Iterator[None]:
    """Run a browser with a home of its own until the block ends."""
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ | {"HOME": str(directory), "PATH": lab.PATH},
        )
    try:
        yield
    finally:
        lab.end(process)


def rows(history: Path) -> list[bytes]:
    """Return the visits in a history so far, as they are rendered; none while it cannot be read yet."""
    if not history.exists():
        return []
    return [
        bytes(batch.data[begin:end])
        for batch in Archive(str(history)).batches()
        if batch.cuts is not None
        for begin, end in zip(batch.cuts.starts, batch.cuts.ends, strict=True)
    ]


@pytest.mark.parametrize("browser", [chromium, firefox], ids=["chromium", "firefox"])
def test_a_visit_is_in_the_history_while_the_browser_runs_and_afterwards(tmp_path, browser):
    """The one page that was opened, with its time; the history's files stay as the browser left them."""
    begun = datetime.now(UTC)
    with lab.website(tmp_path / "site", [NAME]) as (port, _https):
        url = f"http://{NAME}:{port}/en/upload?x=1"
        with browser(tmp_path / "browser", url) as history:
            lab.wait_until(lambda: any(url.encode() in row for row in rows(history)), "the visit is written down", secs=120)
        after = [row for row in rows(history) if url.encode() in row]
        assert len(after) == 1
        before = {one.name: one.read_bytes() for one in history.parent.glob(history.name + "*")}
        seen = observed(history, url)
        assert {one.name: one.read_bytes() for one in history.parent.glob(history.name + "*")} == before
    assert (seen["url"]["domain"], seen["event"]["action"]) == (NAME, "http_request")
    assert begun - timedelta(seconds=2) <= datetime.fromisoformat(seen["@timestamp"]) <= datetime.now(UTC)


def observed(history: Path, url: str) -> dict[str, dict[str, str]]:
    """Return what `sentinel observe` says of the visit to *url*."""
    done = subprocess.run([SENTINEL, "observe", history], capture_output=True, text=True, check=True, timeout=120)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    (one,) = [one for one in said if one.get("url", {}).get("full") == url]
    return one
