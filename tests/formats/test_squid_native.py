"""Squid's native format: what it recognises, yields and refuses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sentinel.formats import squid_native
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import clock

CONNECT = "1700000000.123    345 192.0.2.7 TCP_TUNNEL/200 5120 CONNECT PimEyes.com:443 alice HIER_DIRECT/203.0.113.9 -"


def read(line: str):
    """Return the observations of a line."""
    return squid_native.parse(line.encode(), Stream(clock()))


def test_a_connect_yields_its_host_in_lower_case_without_the_port():
    """The target of a CONNECT has no scheme, and still comes apart."""
    (seen,) = read(CONNECT)
    assert (seen.kind, seen.name, seen.server, seen.server_port) == ("proxy_connect", "pimeyes.com", "203.0.113.9", 443)
    assert (seen.client, seen.user, seen.status, seen.action) == ("192.0.2.7", "alice", 200, "allowed")


def test_the_time_is_the_start():
    """Squid writes when a transaction ended: a tunnel of hours would else be told hours late."""
    (seen,) = read(CONNECT)
    assert seen.time == datetime(2023, 11, 14, 22, 13, 19, 778000, UTC)
    assert (seen.time_text, seen.duration) == ("1700000000.123", 0.345)


@pytest.mark.parametrize("took", ["-20", "1700000000999", "9999999999999999999"])
def test_a_transaction_without_a_start_begins_at_its_end(took):
    """Squid subtracts a start of zero, or clocks are set back: an access in 1970 would be nobody's."""
    (seen,) = read(CONNECT.replace("   345", took))
    assert (seen.time.year, seen.duration) == (2023, None)


def test_the_size_went_down():
    """What the client sent is not in this format: None, never zero."""
    (seen,) = read(CONNECT)
    assert (seen.bytes_up, seen.bytes_down) == (None, 5120)


def test_a_request_yields_url_path_and_query():
    """A URL rule needs them as they are written."""
    (seen,) = read("1700000000.123 1 ::1 TCP_MISS/200 9 POST https://Face.example:8443/a/B?c=d - HIER_DIRECT/2001:db8::1 -")
    assert (seen.kind, seen.name, seen.server_port, seen.path, seen.query) == (
        "http_request",
        "face.example",
        8443,
        "/a/B",
        "c=d",
    )
    assert (seen.url, seen.user, seen.server) == ("https://Face.example:8443/a/B?c=d", None, "2001:db8::1")


def test_a_challenge_names_a_user_that_was_never_verified():
    """A wrong password prints the name too: it must not become that person's access."""
    (seen,) = read(CONNECT.replace("TCP_TUNNEL/200", "TCP_DENIED/407"))
    assert (seen.user, seen.claimed_user, seen.action) == (None, "alice", "challenged")


@pytest.mark.parametrize(
    ("result", "action"),
    [
        ("TCP_DENIED/403", "blocked"),
        ("TCP_DENIED_ABORTED/403", "blocked"),
        ("TCP_DENIED/200", "blocked"),
        ("NONE_NONE/200", "allowed"),
        ("NONE_NONE/503", "failed"),
        ("TCP_MISS_ABORTED/000", "allowed"),
        ("TCP_MISS/403", "allowed"),
    ],
)
def test_only_the_proxys_own_refusal_is_blocked(result, action):
    """A site's 403 was let through and answered by the site."""
    (seen,) = read(CONNECT.replace("TCP_TUNNEL/200", result))
    assert seen.action == action
    assert seen.status == int(result[-3:])


@pytest.mark.parametrize(
    ("columns", "url", "user"),
    [
        ("GET http://a.example/ j%c3%bcrg m%c3%bcller", "http://a.example/", "jürg müller"),
        ("GET http://a.example/ corp\\\\bob", "http://a.example/", "corp\\bob"),
        ("GET http://a.example/a b -", "http://a.example/a b", None),
        ("GET http://a.example/a b/c alice", "http://a.example/a b/c", "alice"),
        ("CONNECT a.example:443 Last First", "a.example:443", "Last First"),
        ('GET http://a.example/ab"c\\d -', 'http://a.example/ab"c\\d', None),
        ("GET http://a.example/x HIER_DIRECT/192.0.2.99 -", "http://a.example/x HIER_DIRECT/192.0.2.99", None),
    ],
)
def test_url_and_user_may_hold_blanks(columns, url, user):
    """The columns behind them are found from the end; what a client asks for cannot change them."""
    (seen,) = read(f"1700000000.123 1 192.0.2.7 TCP_MISS/200 9 {columns} HIER_DIRECT/203.0.113.9 text/html")
    assert (seen.name, seen.url, seen.user, seen.server) == ("a.example", url, user, "203.0.113.9")


@pytest.mark.parametrize(
    "peer", ["HIER_NONE/-", "NONE/-", "DIRECT/www.a.example", "FIRST_UP_PARENT/203.0.113.9", "HIER_SIBLING_HIT/203.0.113.9"]
)
def test_a_peer_that_is_no_address_or_another_cache_is_no_server(peer):
    """The parent proxy's address is not the site's."""
    (seen,) = read(f"1700000000.123 1 192.0.2.7 TCP_MISS/200 9 GET http://a.example/ - {peer} text/html")
    assert seen.server is None


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("-", "error:transaction-end-before-headers"),
        ("NONE", "error:invalid-request"),
        ("CONNECT", ":443"),
        ("-", ":443"),
        ("GET", "cache_object://localhost/info"),
        ("GET", "urn:isbn:1"),
        ("GET", "http://"),
        ("ICP_QUERY", "http://pimeyes.com/"),
    ],
)
def test_what_reached_no_site_tells_of_no_access(method, url):
    """The line is well formed; a neighbour cache's question is not a person's."""
    assert read(f"1700000000.123 1 192.0.2.7 NONE_NONE/400 9 {method} {url} - HIER_NONE/- -") == ()


def test_syslog_before_the_line_and_columns_behind_it():
    """The line's own time wins; logged headers and further columns do not disturb."""
    for line in (
        f"Nov 14 23:00:00 proxy1 (squid-1)[77]: {CONNECT}",
        f"{CONNECT} [User-Agent:%20x HIER_DIRECT/198.51.100.1 y]",
        f"{CONNECT} 902351708.872",
    ):
        (seen,) = read(line)
        assert (seen.name, seen.user, seen.server, seen.time.second) == ("pimeyes.com", "alice", "203.0.113.9", 19)


@pytest.mark.parametrize("line", ["", "GET / HTTP/1.1", CONNECT.partition(" CONNECT")[0], CONNECT.partition(" HIER")[0]])
def test_a_line_of_another_shape_is_malformed(line):
    """It raises, and the source counts it: nothing is guessed from half a line."""
    with pytest.raises(Malformed):
        read(line)


def test_ciscos_web_gateway_is_another_format():
    """Its lines begin alike, and mean other things further on."""
    line = (
        b"1278096903.150 97 192.0.2.7 TCP_MISS/200 8187 GET http://a.example/ - DIRECT/a.example text/plain "
        b"DEFAULT_CASE_11-Policy-Identity-OMS-NONE-NONE-DefaultGroup <IW_comp,6.9,-> -"
    )
    assert squid_native.recognise([line]) == 0.0
