"""Apache's and nginx's access logs: proxied requests in them, and what belongs to the server itself."""

from __future__ import annotations

import pytest

from sentinel.formats import access_log
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import clock

CONNECT = '10.0.0.5 - alice [23/Nov/2026:06:21:27 +0100] "CONNECT PimEyes.com:443 HTTP/1.1" 200 - "-" "Mozilla/5.0 \\"q\\""'


def read(line: str):
    """Return the observations of a line."""
    return access_log.parse(line.encode(), Stream(clock()))


def test_a_tunnel():
    """What went through it is not in the line: None, never zero."""
    (seen,) = read(CONNECT)
    assert (seen.kind, seen.name, seen.server_port, seen.client, seen.user) == (
        "proxy_connect",
        "pimeyes.com",
        443,
        "10.0.0.5",
        "alice",
    )
    assert (seen.bytes_up, seen.bytes_down, seen.action, seen.user_agent) == (None, None, "allowed", 'Mozilla/5.0 "q"')
    assert (seen.time.isoformat(), seen.time_text) == ("2026-11-23T05:21:27+00:00", "23/Nov/2026:06:21:27 +0100")


@pytest.mark.parametrize(
    ("end", "up", "down"),
    [(" 917 1715", 917, 1715), (" 917 -", None, None), (" 12 0.003", None, None), (' "10.9.9.9"', None, None)],
)
def test_bytes_of_mod_logio(end, up, down):
    """Two whole numbers at the end are what came and what went; anything else there is not."""
    (seen,) = read(CONNECT + end)
    assert (seen.bytes_up, seen.bytes_down) == (up, down)


def test_a_second_number_too_small_for_the_body_is_no_count():
    """Then the columns are an administrator's own, such as the time it took."""
    (seen,) = read(CONNECT.replace("200 -", "200 5000") + " 917 1715")
    assert (seen.bytes_up, seen.bytes_down) == (None, 5000)


@pytest.mark.parametrize(
    ("status", "action"),
    [("200", "allowed"), ("403", "blocked"), ("407", "challenged"), ("502", "failed"), ("400", "failed"), ("-", None)],
)
def test_a_tunnels_status_is_the_proxys_own(status, action):
    """Apache and nginx alike; nginx answers CONNECT with 400: an attempt, and never a visit."""
    (seen,) = read(CONNECT.replace(" 200 ", f" {status} "))
    assert seen.action == action


def test_a_name_that_came_with_a_refused_log_in_is_only_claimed():
    """Apache prints whom the client said it was."""
    (seen,) = read(CONNECT.replace(" 200 ", " 407 "))
    assert (seen.user, seen.claimed_user) == (None, "alice")


def test_a_sites_answer_is_not_the_proxys_decision():
    """403 to a GET may be either's: the line does not tell."""
    (seen,) = read(
        CONNECT.replace("CONNECT PimEyes.com:443", "GET http://u:p@PimEyes.com:8080/a?b=c").replace(" 200 ", " 403 ")
    )
    assert (seen.kind, seen.name, seen.server_port, seen.path, seen.query, seen.action) == (
        "http_request",
        "pimeyes.com",
        8080,
        "/a",
        "b=c",
        None,
    )


@pytest.mark.parametrize(
    "asked", ["GET /pimeyes.com HTTP/1.1", "\\x16\\x03\\x01", "-", "", "GET http:// HTTP/1.1", "OPTIONS * HTTP/1.1"]
)
def test_what_the_server_itself_was_asked_tells_of_no_access(asked):
    """Most such logs are a web server's: their visitors come from outside."""
    assert read(CONNECT.replace("CONNECT PimEyes.com:443 HTTP/1.1", asked)) == ()


@pytest.mark.parametrize(
    ("line", "client", "device", "user"),
    [
        ("proxy.example:3128 " + CONNECT, "10.0.0.5", None, "alice"),
        (CONNECT.replace("10.0.0.5", "pc-alice.example"), None, "pc-alice.example", "alice"),
        (CONNECT.replace("alice", "Last, First"), "10.0.0.5", None, "Last, First"),
        (CONNECT.replace("alice", '""'), "10.0.0.5", None, None),
        (CONNECT.replace("10.0.0.5", "2001:db8::5"), "2001:db8::5", None, "alice"),
        ("Nov 23 06:21:27 web1 httpd[7]: " + CONNECT, "10.0.0.5", None, "alice"),
    ],
)
def test_who_asked(line, client, device, user):
    """With the virtual host before, a name for an address, blanks in a user, syslog around it."""
    (seen,) = read(line)
    assert (seen.client, seen.device, seen.user) == (client, device, user)


@pytest.mark.parametrize(
    "line",
    [
        "",
        CONNECT.partition(" HTTP")[0],
        CONNECT.replace("23/Nov", "31/Nov"),
        CONNECT.partition(' "-"')[0] + " TCP_TUNNEL:HIER_DIRECT",
        "[Mon Aug 31 09:30:48 2015] [error] x",
    ],
)
def test_another_shape_is_malformed(line):
    """An error log, a cut line, Squid's common format."""
    with pytest.raises(Malformed):
        read(line)
