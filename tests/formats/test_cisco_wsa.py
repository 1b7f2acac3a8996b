"""Cisco's web appliance: Squid's columns and the decision behind them."""

from __future__ import annotations

import pytest

from sentinel.formats import cisco_wsa
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import clock

LINE = (
    '1649097617.352 382 10.0.0.5 TCP_MISS_SSL/200 4646 GET https://PimEyes.com:443/a?b "CORP\\alice@AD" DIRECT/192.0.2.9 - '
    'DEFAULT_CASE_12-Policy-Identity-NONE-NONE-NONE-NONE <IW_srch,6.9,"x y",-> - "Mozilla/5.0"'
)


def read(line: str):
    """Return the observations of a line."""
    return cisco_wsa.parse(line.encode(), Stream(clock()))


def test_a_request():
    """The start is before the line by the time it took; only what went to the client is counted."""
    (seen,) = read(LINE)
    assert (seen.kind, seen.name, seen.server_port, seen.path, seen.query) == ("http_request", "pimeyes.com", 443, "/a", "b")
    assert (seen.client, seen.user, seen.server) == ("10.0.0.5", "CORP\\alice@AD", "192.0.2.9")
    assert (seen.bytes_up, seen.bytes_down, seen.duration) == (None, 4646, 0.382)
    assert seen.time.isoformat() == "2022-04-04T18:40:16.970000+00:00"


def test_a_tunnel():
    """CONNECT is written with a scheme of its own."""
    (seen,) = read(LINE.replace("GET https://PimEyes.com:443/a?b", "CONNECT tunnel://PimEyes.com:443/"))
    assert (seen.kind, seen.name, seen.server_port, seen.path) == ("proxy_connect", "pimeyes.com", 443, None)


@pytest.mark.parametrize(
    ("result", "tag", "action"),
    [
        ("TCP_MISS_SSL/200", "DEFAULT_CASE_12", "allowed"),
        ("TCP_MISS_SSL/200", "BLOCK_WEBCAT_12", "blocked"),
        ("TCP_DENIED/403", "DEFAULT_CASE_12", "blocked"),
        ("TCP_DENIED/407", "OTHER", "challenged"),
        ("NONE/504", "PASSTHRU_WEBCAT_7", "failed"),
    ],
)
def test_what_was_decided(result, tag, action):
    """The decision stands in the tag, or in the result; a log-in that is asked for names a user that was not verified."""
    (seen,) = read(LINE.replace("TCP_MISS_SSL/200", result).replace("DEFAULT_CASE_12", tag))
    assert seen.action == action
    assert (seen.user is None, seen.claimed_user) == ((True, "CORP\\alice@AD") if action == "challenged" else (False, None))


@pytest.mark.parametrize(
    "line",
    [
        "Info: " + LINE,
        "<13>Mar 09 08:15:42 wsa01 " + LINE,
        LINE.replace("<IW", "&lt;IW"),
        LINE.replace("<IW_srch", '<"IW_saas"'),
    ],
)
def test_ways_to_be_shipped(line):
    """Pushed by syslog it says Info; some relays write entities for the brackets."""
    (seen,) = read(line)
    assert (seen.client, seen.name) == ("10.0.0.5", "pimeyes.com")
    assert cisco_wsa.recognise([line.encode()]) == 1.0


@pytest.mark.parametrize("line", ["", LINE.partition(" DEFAULT")[0], LINE.replace("1649097617", "x")])
def test_another_shape_is_malformed(line):
    """Without the decision it may be Squid's."""
    with pytest.raises(Malformed):
        read(line)
