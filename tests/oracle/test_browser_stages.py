"""What people and pages do in a real browser, and how far the sessions say they got: from a capture, and from a proxy's log.

Pages are as large as a service's own, since only sizes tell a page from a handshake. Episodes are lived over TLS, over QUIC,
through a proxy that sees names alone, and through one that opens TLS and sees requests.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sentinel.activity.infer import PAGE_DOWN
from sentinel.sources.capture import CaptureReader
from tests.integration.lab import wait_until
from tests.oracle import town
from tests.oracle.browsers import Page, chromium, firefox, quic_for
from tests.oracle.wire import ELSEWHERE, TOWN, Wire, captured, wire

pytestmark = pytest.mark.timeout(900)  # of a machine that has other work as well

SENTINEL = Path(sys.executable).with_name("sentinel")
SERVICES = {"pimeyes.com": "pimeyes", "facecheck.id": "facecheck-id", "app.clearview.ai": "clearview-ai"}
RESULTS = "jsc7.pimeyes.com"
LINKED = [*SERVICES, RESULTS]
CERTIFIED = ["pimeyes.com", "*.pimeyes.com", "facecheck.id", "*.clearview.ai", "news.town.example"]
APART = [f"address=/{name}/{ELSEWHERE}" for name in ("facecheck.id", RESULTS)]
"""Names at an address of their own: a browser uses one connection for all names of one address and certificate."""
NEWS = "https://news.town.example"
HEAD = "<!doctype html><title>a page</title><link rel=icon href='data:,'>"
LINKS = "".join(f"<p><a id={number} href='https://{name}/en'>{name}</a>" for number, name in enumerate(LINKED))
TEXT = "<p>" + "A page of a service's own size. " * 2000
PICTURES = [f"/picture/{number}" for number in range(8)]
"""Many times what a page alone may be: a browser that finds its path bad goes on from another port, as another connection."""
PAGES = {
    "/prefetch": HEAD + "".join(f"<link rel=dns-prefetch href='//{name}'>" for name in LINKED) + LINKS,
    "/preconnect": HEAD + "".join(f"<link rel=preconnect href='https://{name}'>" for name in LINKED) + LINKS,
    "/links": HEAD + LINKS,
    "/short": HEAD + "<p>A page of a few words.",
    **dict.fromkeys(("/en", "/app/login"), HEAD + "".join(f"<img src={path}>" for path in PICTURES) + TEXT),
    **dict.fromkeys(PICTURES, "x" * 100_000),
}
SETTLE_SECS = 1.0
"""For how long nothing is to happen where nothing can be waited for."""
PHOTO = 300_000

Heard = Callable[[], set[tuple[str, str]]]
"""Returns which kinds of observations of which names the capture holds of the person who sits at the desk."""


@dataclass(frozen=True)
class Desk:
    """A person's browser, and what the wire shows of it so far."""

    page: Page
    heard: Heard
    naming: str  # by which observation a connection shows its name

    def await_any(self, kind: str, names: list[str]) -> None:
        """Wait until the capture shows an observation of this *kind* of one of *names*."""
        wait_until(lambda: {(kind, name) for name in names} & self.heard(), f"{kind} of {names}", 120)


def links(desk: Desk, what: str) -> None:
    """Open a page that links to the services, and do no more than *what*."""
    desk.page.visit(f"{NEWS}/{what if what in ('prefetch', 'preconnect') else 'links'}")
    for number in range(len(LINKED)) if what in ("hover", "press") else ():
        selector = f"[id='{number}']"
        desk.page.mouse("mouseMoved", selector)
        if what == "press":
            desk.page.mouse("mousePressed", selector)
        time.sleep(SETTLE_SECS / 4)
    if what == "prefetch":
        desk.await_any("dns_query", LINKED)
    elif what == "preconnect":
        desk.await_any(desk.naming, LINKED)  # a busy browser leaves some out
    else:
        time.sleep(SETTLE_SECS)


def ahead(desk: Desk) -> None:
    """Open a page that has the browser fetch the services' first pages, in case somebody should click."""
    desk.page.visit(f"{NEWS}/links")
    addresses = json.dumps([f"https://{name}/en" for name in ("pimeyes.com", "facecheck.id")])
    added = "l => {l.rel = 'prefetch'; l.href = address; l.onload = l.onerror = done; document.head.append(l)}"
    fetched = f"address => new Promise(done => ({added})(document.createElement('link')))"
    desk.page.run(f"Promise.all({addresses}.map({fetched})).then(all => all.length)")


def post(desk: Desk, path: str, body: str) -> None:
    """Send *body*, written in JavaScript, from the page that is open."""
    assert desk.page.run(f"fetch('{path}', {{method: 'POST', body: {body}}}).then(answer => answer.status)") == 200


PHOTO_BODY = f"new Uint8Array({PHOTO}).map(() => Math.random() * 256)"
WORDS_BODY = "JSON.stringify({email: 'somebody@desk.example', password: 'secret'})"


def visit(desk: Desk) -> None:
    """Open the page of each service but the one to which nobody goes but to log in."""
    for name in ("pimeyes.com", "facecheck.id"):
        desk.page.visit(f"https://{name}/en")


def login(desk: Desk) -> None:
    """Log in."""
    desk.page.visit("https://app.clearview.ai/app/login")
    post(desk, "/auth/determine_login_method", WORDS_BODY)
    post(desk, "/auth/generate_login_token", WORDS_BODY)


def upload(desk: Desk) -> None:
    """Send a photo, and ask for nothing."""
    desk.page.visit("https://facecheck.id/en")
    post(desk, "/api/upload_pic", PHOTO_BODY)


def search(desk: Desk) -> None:
    """Send a photo, and have it searched for."""
    desk.page.visit("https://pimeyes.com/en")
    post(desk, "/api/upload/file", PHOTO_BODY)
    post(desk, "/api/search/new", WORDS_BODY)


def results(desk: Desk) -> None:
    """Visit a service and fetch results from where it keeps them."""
    desk.page.visit("https://pimeyes.com/en")
    desk.page.visit(f"https://{RESULTS}/en")
    post(desk, "/get_results", WORDS_BODY)


EPISODES: dict[str, Callable[[Desk], None]] = {
    "prefetch": lambda desk: links(desk, "prefetch"),
    "preconnect": lambda desk: links(desk, "preconnect"),
    "hover": lambda desk: links(desk, "hover"),
    "press": lambda desk: links(desk, "press"),
    "ahead": ahead,
    "short visit": lambda desk: desk.page.visit("https://pimeyes.com/short"),
    "visit": visit,
    "login": login,
    "upload": upload,
    "search": search,
    "results": results,
}
CLIENTS = {name: f"10.77.0.{number}" for number, name in enumerate([*EPISODES, "firefox"], 11)}
LINKING = ["prefetch", "preconnect", "hover", "press", "ahead"]
BY_PROXY = ["preconnect", "ahead", "visit", "login", "search", "results"]
"""What is lived through a proxy as well. The rest does nothing there."""

Sessions = dict[str, dict[str, dict[str, Any]]]
"""By episode and service."""


def replayed(kind: str, *paths: Path) -> Sessions:
    """Return the sessions of a replay. Nobody has two with one service."""
    done = subprocess.run([SENTINEL, "replay", kind, *paths, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    who = {client: name for name, client in CLIENTS.items()}
    found: Sessions = {name: {} for name in CLIENTS}
    for session in json.loads(done.stdout)["sessions"]:
        if session["client"]["ip"] == TOWN:
            continue  # the proxy itself, which repeats the names
        of_client = found[who[session["client"]["ip"]]]
        assert session["service"] not in of_client, f"two sessions: {session}"
        of_client[session["service"]] = session
    return found


def hearing(capture: Path, client: str) -> Heard:
    """Return what tells which observations of which names *capture* holds of *client*."""

    def heard() -> set[tuple[str, str]]:
        every = (one.observation for some in CaptureReader(capture).seen() for one in some)
        return {(one.kind, one.name) for one in every if one.client == client and one.name}

    return heard


@contextlib.contextmanager
def living(directory: Path) -> Iterator[tuple[Wire, town.Issued, Path]]:
    """Set the town up, and capture what passes; yield the wire, the site and the capture."""
    capture = directory / "day.pcap"
    with (
        wire(directory / "wire") as on,
        town.resolver(on, directory / "dns", APART, six=False),
        town.site(on, directory / "site", CERTIFIED, pages=PAGES) as site,
        captured(on, capture),
    ):
        yield on, site, capture


def live(on: Wire, directory: Path, site: town.Issued, capture: Path, names: list[str], naming: str, *options: str) -> None:
    """Let a person each live one of the episodes."""
    for name in names:
        on.sit_down(CLIENTS[name])
        with chromium(on, directory / name, site, *options) as page:
            EPISODES[name](Desk(page, hearing(capture, CLIENTS[name]), naming))


@pytest.fixture(scope="module", params=["tls", "quic"])
def sessions(request, tmp_path_factory):
    """Let the episodes be lived over TLS or over QUIC, and a visit by Firefox; return what the capture tells of them."""
    directory = tmp_path_factory.mktemp(request.param)
    quic = request.param == "quic"
    naming = "quic_client_hello" if quic else "tls_client_hello"
    with living(directory) as (on, site, capture):
        live(on, directory, site, capture, [*EPISODES], naming, *([quic_for(LINKED)] if quic else []))
        on.sit_down(CLIENTS["firefox"])
        firefox(on, directory / "firefox", site, "https://pimeyes.com/en", quic=["pimeyes.com"] if quic else [])
    return replayed("pcap", capture)


@pytest.fixture(scope="module")
def by_names(tmp_path_factory):
    """Let the episodes be lived through a proxy that sees names and sizes; return what its log tells of them."""
    directory = tmp_path_factory.mktemp("proxy")
    log = directory / "access.log"
    with living(directory) as (on, site, capture), town.proxy(on, keep=log):
        live(on, directory, site, capture, BY_PROXY, "proxy_connect", f"--proxy-server=http://{TOWN}:3128")
    return replayed("logs", log)


@pytest.fixture(scope="module")
def by_requests(tmp_path_factory):
    """Let the episodes be lived through a proxy that opens TLS; return what its log tells of them."""
    directory = tmp_path_factory.mktemp("bumping")
    options = (f"--proxy-server=http://{TOWN}:3128", "--ignore-certificate-errors")
    log = directory / "access.log"
    with living(directory) as (on, site, capture), town.proxy(on, keep=log, opens=site):
        live(on, directory, site, capture, BY_PROXY, "proxy_connect", *options)
    return replayed("logs", log)


def told(session: dict[str, Any]) -> tuple[str, str, int, int]:
    """Return stage, basis, searches and uploads."""
    return session["stage"], session["basis"], session["searches"]["at_least"], session["uploads"]


@pytest.mark.parametrize("what", LINKING)
def test_a_page_that_only_links_makes_nobody_a_visitor(sessions, what):
    """Browsers look links up, finish handshakes, and even fetch pages, for people who never clicked."""
    for service, session in sessions[what].items():
        assert session["stage"] in ("lookup", "contact"), f"{service}: {session}"
        assert told(session)[1:] == ("observed", 0, 0)
        assert "as browsers also do" in session["reason"]


def test_the_links_did_what_they_were_to_show(sessions):
    """Else the test above would hold for a browser that does nothing ahead of a click."""
    assert {session["stage"] for session in sessions["prefetch"].values()} == {"lookup"}
    assert "contact" in {session["stage"] for session in sessions["preconnect"].values()}
    assert sessions["ahead"]  # how much of the pages comes is the browser's to decide: over QUIC it may break off


def test_a_short_visit_cannot_be_told_from_a_link(sessions):
    """The session says the lower stage, and why."""
    session = sessions["short visit"]["pimeyes"]
    assert told(session) == ("contact", "observed", 0, 0)
    assert "as browsers also do ahead of a click" in session["reason"]


@pytest.mark.parametrize("service", ["pimeyes", "facecheck-id"])
def test_a_page_with_all_that_belongs_to_it_is_a_visit(sessions, service):
    """So much comes to visitors alone."""
    session = sessions["visit"][service]
    assert told(session) == ("visit", "inferred", 0, 0)
    assert session["bytes_down"] > PAGE_DOWN


def test_firefox_is_seen_as_well(sessions):
    """Its hello is another one, and so are its ways of speaking QUIC."""
    assert told(sessions["firefox"]["pimeyes"]) == ("visit", "inferred", 0, 0)


def test_a_login_is_inferred_from_the_products_own_host(sessions):
    """Nobody gets there but to log in; which request did it cannot be seen."""
    assert told(sessions["login"]["clearview-ai"]) == ("login", "inferred", 0, 0)


@pytest.mark.parametrize(("what", "service"), [("upload", "facecheck-id"), ("search", "pimeyes")])
def test_a_photo_is_counted_and_a_search_is_not_made_up(sessions, what, service):
    """300 kB that go up at once are a photo. Whether it was searched for, sizes do not tell."""
    session = sessions[what][service]
    assert told(session) == ("upload", "inferred", 0, 1)
    assert session["bytes_up"] > PHOTO


def test_results_are_inferred_from_where_they_are_kept(sessions):
    """A result list was fetched; no record proves a search."""
    assert told(sessions["results"]["pimeyes"]) == ("result", "inferred", 0, 0)


@pytest.mark.parametrize("what", ["preconnect", "ahead"])
def test_a_proxy_that_sees_names_tells_no_visitor_from_a_link(by_names, what):
    """Tunnels are opened and pages fetched ahead of a click through a proxy as well."""
    assert by_names[what]
    for session in by_names[what].values():
        assert told(session) == ("contact", "observed", 0, 0)
        assert "as browsers also do" in session["reason"]


def test_a_proxy_that_sees_names_tells_what_sizes_tell(by_names):
    """Squid's own format has no bytes that went up, so that a photo cannot be told: the session says what is known."""
    assert told(by_names["visit"]["pimeyes"]) == ("visit", "inferred", 0, 0)
    assert told(by_names["search"]["pimeyes"]) == ("visit", "inferred", 0, 0)
    assert told(by_names["login"]["clearview-ai"]) == ("login", "inferred", 0, 0)
    assert told(by_names["results"]["pimeyes"]) == ("result", "inferred", 0, 0)


def test_a_proxy_that_opens_tls_tells_what_was_done(by_requests):
    """Requests are proof: of a photo, of a search, of results."""
    assert {service: told(one) for service, one in by_requests["visit"].items()} == {
        "pimeyes": ("visit", "observed", 0, 0), "facecheck-id": ("visit", "observed", 0, 0),
    }  # fmt: skip
    assert told(by_requests["login"]["clearview-ai"]) == ("login", "observed", 0, 0)
    assert told(by_requests["search"]["pimeyes"]) == ("search", "observed", 1, 1)
    assert told(by_requests["results"]["pimeyes"]) == ("result", "observed", 0, 0)
    for session in by_requests["preconnect"].values():
        assert session["stage"] in ("lookup", "contact")
