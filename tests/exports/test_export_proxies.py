"""Squid's access lists, the proxy auto-config file and the filter list in the programs that read them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from sentinel.observation import ip_address
from tests.exports import cases
from tests.integration.lab import LOCALHOST, squid


def refused(port: int, method: str, target: str) -> bool:
    """Return whether the proxy denies a request by its access lists."""
    host = target if method == "CONNECT" else urlsplit(target).netloc
    with socket.create_connection((LOCALHOST, port), timeout=60) as proxy:
        proxy.sendall(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (more := proxy.recv(65536)):
            answer += more
    assert answer.startswith(b"HTTP/1.1 ")
    return b"X-Squid-Error: ERR_ACCESS_DENIED" in answer


@pytest.mark.integration
def test_squid_refuses_the_hosts_and_requests_that_sentinel_finds_and_no_others():
    """A tunnel is refused by its host; a request that Squid sees whole, by its path as well."""
    requests = {one: urlsplit(one[1]).hostname or "" for one in cases.requests()}
    by_name = [one for one, host in requests.items() if not ip_address(host)]  # nothing of the tests may leave the machine
    hosts = set(requests.values())
    matcher = cases.said("squid")
    wanted = [("CONNECT", f"{name}:443") for name in cases.names()] + by_name
    with squid(sorted({*cases.names(), *hosts}), options=cases.text("squid").splitlines()) as proxy:
        with ThreadPoolExecutor(4) as pool:
            denied = list(pool.map(lambda one: refused(proxy.port, *one), wanted))
    for (method, target), was_denied in zip(wanted, denied, strict=True):
        seen = cases.looked_up(target.removesuffix(":443")) if method == "CONNECT" else cases.requested(method, target)
        assert was_denied == bool(cases.services(matcher, seen)), f"{method} {target}"
    assert 0 < sum(denied) < len(denied)


def by_pac(asked: Iterable[tuple[str, str]]) -> list[bool]:
    """Return for each URL and host whether the file sends it nowhere, as V8 runs it: the engine of Chromium, Edge and Node."""
    engine = pytest.importorskip("py_mini_racer", reason="mini-racer is not installed; tests/run gets it").MiniRacer()
    with contextlib.closing(engine):
        engine.eval(cases.text("pac"))
        said = [engine.call("FindProxyForURL", url, host) for url, host in asked]
    assert set(said) <= {"PROXY 127.0.0.1:9", "DIRECT"}
    return [one != "DIRECT" for one in said]


@pytest.mark.integration
def test_the_pac_file_sends_nowhere_what_sentinel_finds_and_nothing_else():
    """A browser gives the host, and of an https URL no path; of an http URL all."""
    matcher = cases.said("pac")
    hosts = [(f"https://{name}/", name) for name in cases.names()]
    urls = [
        (url.replace("https://", "http://"), urlsplit(url).hostname or "")
        for method, url in cases.requests()
        if method == "GET"
    ]
    for (url, host), sent in zip(hosts, by_pac(hosts), strict=True):
        assert sent == bool(cases.services(matcher, cases.looked_up(host))), url
    for (url, _host), sent in zip(urls, by_pac(urls), strict=True):
        assert sent == bool(cases.services(matcher, cases.requested("GET", url))), url


def test_names_that_mean_something_to_javascript_are_names_to_the_pac_file():
    """Every object has a "constructor": a plain look-up would send such hosts nowhere."""
    asked = [
        (f"https://{name}/", name)
        for name in ("constructor", "tostring", "__proto__", "a.valueof", "PIMEYES.COM.", "x.pimeyes.com.")
    ]
    assert by_pac(asked) == [False, False, False, False, True, True]


def test_the_filter_list_blocks_what_sentinel_finds_and_nothing_else():
    """As Brave's own engine reads it: pages, and what pages take from elsewhere."""
    adblock = pytest.importorskip("adblock", reason="adblock is not installed; tests/run gets it")
    rules = adblock.FilterSet(debug=True)
    rules.add_filter_list(cases.text("adblock"))
    engine = adblock.Engine(rules)
    matcher = cases.said("adblock")
    asked = [("GET", f"https://{name}/") for name in cases.names()] + [one for one in cases.requests() if one[0] == "GET"]
    for method, url in asked:
        wanted = bool(cases.services(matcher, cases.requested(method, url)))
        for kind in ("document", "xmlhttprequest"):
            found = engine.check_network_urls(url, "https://elsewhere.example/", kind)
            assert found.matched == wanted, f"{url} as {kind}: {found.filter}"
