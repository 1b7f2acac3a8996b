"""What people and pages do in a real browser, and how far the sessions say they got: from a capture, and from a proxy's log.

Pages are as large as a service's own, since only sizes tell a page from a handshake.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.oracle import town
from tests.oracle.browsers import Page, chromium, quic_for
from tests.oracle.wire import ELSEWHERE, captured, wire

SENTINEL = Path(sys.executable).with_name("sentinel")
SERVICES = {"pimeyes.com": "pimeyes", "facecheck.id": "facecheck-id", "app.clearview.ai": "clearview-ai"}
RESULTS = "jsc7.pimeyes.com"
LINKED = [*SERVICES, RESULTS]
CERTIFIED = ["pimeyes.com", "*.pimeyes.com", "facecheck.id", "*.clearview.ai", "news.town.example"]
NEWS = "https://news.town.example"
HEAD = "<!doctype html><title>a page</title><link rel=icon href='data:,'>"
LINKS = "".join(f"<p><a id={number} href='https://{name}/en'>{name}</a>" for number, name in enumerate(LINKED))
PAGES = {
    "/prefetch": HEAD + "".join(f"<link rel=dns-prefetch href='//{name}'>" for name in LINKED) + LINKS,
    "/preconnect": HEAD + "".join(f"<link rel=preconnect href='https://{name}'>" for name in LINKED) + LINKS,
    "/links": HEAD + LINKS,
    "/en": HEAD + "<p>" + "A page of a service's own size. " * 2000,
}
SETTLE_SECS = 1.0
"""What a browser does ahead of a click it does at once; this is how long it is given for it."""
PHOTO = 300_000


def links(page: Page, what: str) -> None:
    """Open a page that links to the services, and do no more than *what*."""
    page.visit(f"{NEWS}/{what if what in ('prefetch', 'preconnect') else 'links'}")
    for number in range(len(LINKED)) if what in ("hover", "press") else ():
        selector = f"[id='{number}']"
        page.mouse("mouseMoved", selector)
        if what == "press":
            page.mouse("mousePressed", selector)
        time.sleep(SETTLE_SECS / 4)
    time.sleep(SETTLE_SECS)


def upload(page: Page, scheme: str, name: str, path: str) -> None:
    """Send a photo."""
    photo = f"new Uint8Array({PHOTO}).map(() => Math.random() * 256)"
    page.visit(f"{scheme}://{name}/en")
    assert page.run(f"fetch('{path}', {{method: 'POST', body: {photo}}}).then(answer => answer.status)") == 200


def visit(page: Page) -> None:
    """Open the page of each service."""
    for name in SERVICES:
        page.visit(f"https://{name}/en")


def results(page: Page) -> None:
    """Visit a service and fetch results from where it keeps them."""
    page.visit("https://pimeyes.com/en")
    page.visit(f"https://{RESULTS}/en")


EPISODES: dict[str, Callable[[Page], None]] = {
    "prefetch": lambda page: links(page, "prefetch"),
    "preconnect": lambda page: links(page, "preconnect"),
    "hover": lambda page: links(page, "hover"),
    "press": lambda page: links(page, "press"),
    "visit": visit,
    "upload": lambda page: upload(page, "https", "facecheck.id", "/api/upload_pic"),
    "results": results,
}
CLIENTS = {name: f"10.77.0.{number}" for number, name in enumerate(EPISODES, 11)}


def replayed(kind: str, *paths: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the sessions of a replay, by client and service. Nobody has two with one service."""
    done = subprocess.run([SENTINEL, "replay", kind, *paths, "--json"], capture_output=True, text=True, check=True)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for session in json.loads(done.stdout)["sessions"]:
        of_client = found.setdefault(session["client"]["ip"], {})
        assert session["service"] not in of_client, f"two sessions: {session}"
        of_client[session["service"]] = session
    return found


@pytest.fixture(scope="module", params=["tls", "quic"])
def sessions(request, tmp_path_factory):
    """Let a person each live one of the episodes, over TLS or over QUIC; return the sessions by person and service."""
    directory = tmp_path_factory.mktemp(request.param)
    capture = directory / "day.pcap"
    options = [quic_for(LINKED)] if request.param == "quic" else []
    with (
        wire(directory / "wire") as on,
        town.resolver(on, directory / "dns", [f"address=/{RESULTS}/{ELSEWHERE}"], six=False),
        town.site(on, directory / "site", CERTIFIED, pages=PAGES) as site,
        captured(on, capture),
    ):
        for name, episode in EPISODES.items():
            on.sit_down(CLIENTS[name])
            with chromium(on, directory / name, site, *options) as page:
                episode(page)
    found = replayed("pcap", capture)
    return {name: found.get(client, {}) for name, client in CLIENTS.items()}


@pytest.mark.parametrize("what", ["prefetch", "preconnect", "hover", "press"])
def test_a_page_that_only_links_makes_nobody_a_visitor(sessions, what):
    """Browsers look links up, and even finish handshakes, for people who never clicked."""
    for service, session in sessions[what].items():
        assert session["stage"] in ("lookup", "contact"), f"{service}: {session}"
        assert (session["basis"], session["searches"]["at_least"], session["uploads"]) == ("observed", 0, 0)
        assert "as browsers also do" in session["reason"]


def test_the_links_did_what_they_were_to_show(sessions):
    """Else the test above would hold for a browser that does nothing ahead of a click."""
    assert {session["stage"] for session in sessions["prefetch"].values()} == {"lookup"}
    ahead = [*sessions["preconnect"].values(), *sessions["press"].values()]
    assert "contact" in {session["stage"] for session in ahead}


def test_a_visit_is_a_contact_with_each_service(sessions):
    """A name in a handshake shows no request: the session says what is known, and no more."""
    for name, service in SERVICES.items():
        session = sessions["visit"][service]
        assert name in session["names"]
        if name != "app.clearview.ai":
            assert (session["stage"], session["basis"]) == ("contact", "observed")
    assert set(sessions["visit"]) == set(SERVICES.values())
