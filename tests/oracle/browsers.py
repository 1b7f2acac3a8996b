"""Browsers on the desk: Chromium, driven over its debugging pipe, and Firefox, which is given pages to draw."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.lab import PATH, end, program, wait_until
from tests.oracle.authority import Issued
from tests.oracle.wire import Wire

PATIENCE_SECS = 120.0
"""A browser takes a second or two; on a machine that has other work, or is paused, much longer."""
DESK_CHANGED = "net::ERR_NETWORK_CHANGED"
"""What a page answers that was opened before the browser had heard of its desk's new address."""
HAND_OVER = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"
"""The browser reads descriptor 3 and writes descriptor 4."""
QUIET = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
    "--disable-component-update", "--disable-background-networking", "--disable-default-apps", "--disable-extensions",
    "--disable-domain-reliability", "--no-pings", "--disable-client-side-phishing-detection", "--hide-scrollbars",
    "--mute-audio", "--remote-debugging-pipe",
]  # fmt: skip


class Chromium:
    """A running Chromium."""

    def __init__(self, to: int, answers: int) -> None:
        """Talk over the pipe's two ends."""
        self._to, self._from = to, answers
        self._number = 0
        self._rest = b""

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol, to the browser or to a page, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message(method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    pytest.fail(f"{method}: {answer['error']}")
                return answer["result"]

    def page(self) -> Page:
        """Open a page. It is not one of a context of its own: those do not do ahead of a click what others do."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        return Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def _message(self, awaited: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self._from, 1 << 16) if ready else b""
            if not piece:
                pytest.fail(f"Chromium does not answer {awaited}")
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


class Page:
    """One page of a Chromium."""

    def __init__(self, browser: Chromium, session: str) -> None:
        """Take over the page that *session* is attached to."""
        self._browser, self._session = browser, session
        self._call("Page.enable")

    def visit(self, url: str) -> None:
        """Open *url* and wait until its page has loaded."""
        deadline = time.monotonic() + PATIENCE_SECS
        while failed := self._call("Page.navigate", url=url).get("errorText"):
            if failed != DESK_CHANGED or time.monotonic() > deadline:
                pytest.fail(f"{url}: {failed}")
            time.sleep(0.2)
        self.run("new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', done))")

    def run(self, script: str) -> Any:
        """Run JavaScript in the page, wait for its promise, and return its value."""
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in answer:
            pytest.fail(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def mouse(self, what: str, selector: str) -> None:
        """Move the mouse onto the element *selector*, or press or release its button there."""
        box = f"document.querySelector({selector!r}).getBoundingClientRect()"
        x, y = self.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({box})")
        button = {} if what == "mouseMoved" else {"button": "left", "clickCount": 1}
        self._call("Input.dispatchMouseEvent", type=what, x=x, y=y, **button)

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)


@contextlib.contextmanager
def chromium(on: Wire, directory: Path, site: Issued, *options: str) -> Iterator[Chromium]:
    """Run Chromium on the desk; it believes the town's certificate."""
    directory.mkdir()
    command = [
        program("chromium"), *QUIET, f"--user-data-dir={directory / 'profile'}",
        f"--ignore-certificate-errors-spki-list={site.spki}", *options, "about:blank",
    ]  # fmt: skip
    with _pipe() as (theirs_in, ours_out), _pipe() as (ours_in, theirs_out):
        with (directory / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", HAND_OVER, str(theirs_in), str(theirs_out), *on.desk.command(*command)],
                pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, env=os.environ | {"PATH": PATH, "HOME": str(directory)},
            )  # fmt: skip
        try:
            yield Chromium(ours_out, ours_in).page()
        finally:
            end(process)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    low = os.pipe()
    reading, writing = (fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 10) for one in low)  # beyond 3 and 4, which they become
    for one in low:
        os.close(one)
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def quic_for(names: Sequence[str]) -> str:
    """Return the option that makes Chromium speak QUIC with *names* from the first packet on."""
    return "--origin-to-force-quic-on=" + ",".join(f"{name}:443" for name in names)


FIREFOX = {
    "browser.shell.checkDefaultBrowser": False, "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False, "toolkit.telemetry.enabled": False, "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False, "extensions.getAddons.cache.enabled": False,
    "services.settings.server": "https://settings.example/v1", "security.OCSP.enabled": 0,
    "network.http.http3.disable_when_third_party_roots_found": False,
}  # fmt: skip


def firefox(on: Wire, directory: Path, site: Issued, url: str, *, quic: Sequence[str] = ()) -> None:
    """Let Firefox draw *url*, over QUIC where its host is among *quic*; it believes the site's authority."""
    profile = directory / "profile"
    profile.mkdir(parents=True)
    preferences: dict[str, Any] = dict(FIREFOX)
    if quic:
        preferences["network.http.http3.alt-svc-mapping-for-testing"] = ",".join(f"{name};h3=:443" for name in quic)
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
    (profile / "user.js").write_text("\n".join(lines) + "\n")
    database = f"sql:{profile}"
    subprocess.run([program("certutil"), "-N", "-d", database, "--empty-password"], check=True)
    trust = ["-A", "-n", "town", "-t", "C,,", "-i", str(site.authority)]
    subprocess.run([program("certutil"), *trust, "-d", database], check=True)
    drawn = directory / "drawn.png"
    command = [program("firefox-esr"), "--headless", "--no-remote", "--profile", profile, "--screenshot", drawn, url]
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            on.desk.command(*command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=os.environ | {"PATH": PATH, "HOME": str(directory)},
        )  # fmt: skip
    try:
        wait_until(lambda: process.poll() is not None or drawn.exists(), f"Firefox draws {url}", PATIENCE_SECS)
    finally:
        end(process)
    shutil.rmtree(profile)
