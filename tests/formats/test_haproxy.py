"""HAProxy: which site a line is about, who asked, and what HAProxy made of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sentinel.formats import haproxy
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import clock

LINE = (
    "haproxy[1]: 10.0.0.5:40362 [23/Nov/2026:06:21:27.404] {frontend} be/{server} {timers} {status} {size} - - {ended} "
    '1/1/0/0/0 0/0 {captured}"{request}"{behind}'
)
USUAL = {
    "frontend": "fe",
    "server": "s1",
    "timers": "0/0/0/0/7",
    "status": "200",
    "size": "203",
    "ended": "----",
    "captured": "",
    "request": "GET http://pimeyes.com/en?a=b HTTP/1.1",
    "behind": "",
}


def read(line: str):
    return haproxy.parse(f"Nov 23 06:21:27 lb {line}".encode(), Stream(clock()))


def one(**other: str):
    (seen,) = read(LINE.format(**(USUAL | other)))
    return seen


def test_a_whole_url_names_the_site():
    """So does a proxy's request; the time is the machine's, when it began."""
    seen = one()
    assert (seen.kind, seen.name, seen.path, seen.query, seen.server_port) == ("http_request", "pimeyes.com", "/en", "a=b", 80)
    assert (seen.client, seen.client_port, seen.bytes_up, seen.bytes_down) == ("10.0.0.5", 40362, None, 203)
    assert (seen.time, seen.duration) == (datetime(2026, 11, 23, 5, 21, 27, 404000, UTC), 0.007)


@pytest.mark.parametrize(
    ("captured", "name"),
    [
        ("{app.clearview.ai:8443|Mozilla/5.0} ", "app.clearview.ai"),
        ("{77.24.148.74|app.clearview.ai} {text/html} ", "app.clearview.ai"),
        ("{curl/8.0 (see app.clearview.ai)} ", None),
        ("{http://app.clearview.ai/} ", None),
        ("", None),
    ],
)
def test_a_request_for_a_path_is_one_to_the_host_that_was_captured(captured, name):
    """Of the headers that an administrator captures, one that is a host's name is the Host; an agent or a referrer is none."""
    seen = read(LINE.format(**USUAL | {"request": "POST /api/x HTTP/1.1", "captured": captured}))
    assert [one.name for one in seen] == ([name] if name else [])
    assert not seen or seen[0].url == f"http://{name}/api/x"


def test_an_https_log_names_the_handshakes_host_too():
    """The two may differ, and then both are evidence."""
    behind = " 0/0000000000000000/0/0/0 pimeyes.com/TLSv1.3/TLS_AES_256_GCM_SHA384"
    seen = one(frontend="fe~", request="GET /v1 HTTP/2.0", behind=behind)
    assert (seen.name, seen.url, seen.server_port) == ("pimeyes.com", "https://pimeyes.com/v1", 443)
    seen = one(frontend="fe~", request="GET /v1 HTTP/2.0", captured="{facecheck.id} ", behind=behind)
    assert (seen.name, seen.names) == ("facecheck.id", ("pimeyes.com",))


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        ({}, "allowed"),
        ({"status": "403"}, "allowed"),  # the server's own answer
        ({"status": "403", "ended": "PR--", "server": "<NOSRV>"}, "blocked"),
        ({"status": "407", "ended": "PR--"}, "challenged"),
        ({"status": "503", "ended": "SC--", "server": "<NOSRV>"}, "failed"),
        ({"status": "503", "ended": "sQ--"}, "failed"),
        ({"ended": "CD--"}, "allowed"),  # the client left while it was answered
        ({"request": "CONNECT pimeyes.com:443 HTTP/1.1"}, "allowed"),
        ({"request": "CONNECT pimeyes.com:443 HTTP/1.1", "status": "405"}, "failed"),
    ],
)
def test_what_was_refused_is_no_visit(fields, action):
    """A rule of the proxy's, a server that was not there, and an answer of the server's own are three things."""
    assert one(**fields).action == action


def test_a_request_that_was_still_going_on_or_was_cut_is_read():
    """HAProxy may log before the end, with a plus, and cuts a line at its longest."""
    seen = one(timers="0/-1/-1/-1/+99627", size="+8328")
    assert (seen.bytes_down, seen.duration) == (8328, 99.627)
    line = LINE.format(**USUAL).rpartition("=b")[0]
    assert read(line)[0].name == "pimeyes.com"


def test_a_tcp_log_tells_of_a_connection_and_of_the_name_where_it_was_added():
    """The default line has no name; whoever inspects handshakes adds one."""
    tcp = "haproxy[1]: 2001:db8::5:51020 [23/Nov/2026:06:21:27.475] fe be/s1 3/0/9 1639 -- 1/1/0/0/0 0/0"
    (seen,) = read(tcp)
    assert (seen.kind, seen.client, seen.client_port, seen.name) == ("flow", "2001:db8::5", 51020, None)
    (seen,) = read(tcp + " up=781 sni=PimEyes.com")
    assert (seen.kind, seen.name) == ("tls_client_hello", "pimeyes.com")


def test_quotes_and_braces_of_a_client_cannot_move_a_field():
    """HAProxy writes them as #22 and #7B: a URL that looks like the end of the line stays a URL."""
    seen = one(request="GET http://pimeyes.com/#22#7Bfacecheck.id#7D HTTP/1.1")
    assert (seen.name, seen.client) == ("pimeyes.com", "10.0.0.5")
    with pytest.raises(Malformed):
        read(LINE.format(**USUAL | {"request": 'GET http://a.example/" 0/0 {facecheck.id} "x'}))


@pytest.mark.parametrize("line", ["haproxy[1]: Proxy fe started.", LINE.format(**USUAL).replace("23/Nov", "31/Nov"), ""])
def test_another_shape_is_malformed(line):
    """It is counted and shown."""
    with pytest.raises(Malformed):
        read(line)


def test_a_handshake_that_failed_is_no_access():
    """Nobody asked for anything yet."""
    assert read("haproxy[1]: 10.0.0.5:50320 [23/Nov/2026:06:21:27.510] fe-https/1: SSL handshake failure") == ()
