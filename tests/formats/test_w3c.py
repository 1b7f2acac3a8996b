"""W3C extended logs: columns by their header, UTC, directions, and what was decided."""

from __future__ import annotations

import pytest

from sentinel.formats import w3c
from sentinel.formats.format import Malformed
from sentinel.formats.reader import Reader
from tests.formats.samples import clock, reader

HEAD = "#Fields: date time c-ip cs-username cs-method cs-uri-scheme cs-host cs-uri-port cs-uri-path sc-status sc-bytes cs-bytes"
ROW = "2026-11-23 05:34:02 10.0.0.5 alice GET https PimEyes.com 443 /a 200 7400 610"


def rows(*lines: str):
    """Return what lines say, one after the other."""
    reading = reader("w3c")
    return [seen for line in lines for seen in reading.parse(line.encode())]


def test_times_are_utc_and_bytes_go_their_way():
    """`sc` went to the client; local time would put an access hours off."""
    (seen,) = rows(HEAD, ROW)
    assert (seen.time.isoformat(), seen.time_text) == ("2026-11-23T05:34:02+00:00", "2026-11-23 05:34:02")
    assert (seen.bytes_up, seen.bytes_down) == (610, 7400)
    assert (seen.client, seen.user, seen.name, seen.url) == ("10.0.0.5", "alice", "pimeyes.com", "https://pimeyes.com/a")


def test_columns_change_in_the_middle_of_a_file():
    """The header in force counts, never the position; and it is what a position has to keep."""
    reading = reader("w3c")
    for line in ("#Date: 2026-11-23 05:00:00", "#Fields: time cs-host c-ip"):
        reading.parse(line.encode())
    again = Reader(w3c.FORMAT, clock())
    again.restore(reading.state())
    (seen,) = again.parse(b"05:34:02 a.example 10.0.0.7")
    assert (seen.name, seen.client, seen.time.isoformat()) == ("a.example", "10.0.0.7", "2026-11-23T05:34:02+00:00")
    (seen,) = (seen for line in (HEAD, ROW) for seen in again.parse(line.encode()))
    assert (seen.name, seen.client) == ("pimeyes.com", "10.0.0.5")


def test_a_row_without_a_date_after_midnight_is_the_next_days():
    """IIS 6 can leave the date out; `#Date` says when the file began."""
    (seen,) = rows("#Date: 2026-11-23 22:00:00", "#Fields: time c-ip cs-host", "00:10:00 10.0.0.5 a.example")
    assert seen.time.isoformat() == "2026-11-24T00:10:00+00:00"
    with pytest.raises(Malformed, match="no date"):
        rows("#Fields: time c-ip cs-host", "00:10:00 10.0.0.5 a.example")


@pytest.mark.parametrize(
    ("field", "value", "time"),
    [
        ("x-timestamp-unix", "1795411170", "2026-11-23T05:19:30+00:00"),
        ("timestamp", "1795411170.5", "2026-11-23T05:19:30.500000+00:00"),
        ("localtime", '"[23/Nov/2026:06:19:30 +0100]"', "2026-11-23T05:19:30+00:00"),
        ("gmttime", '"[23/Nov/2026:05:19:30 GMT]"', "2026-11-23T05:19:30+00:00"),
    ],
)
def test_other_columns_for_the_time(field, value, time):
    """ProxySG knows several."""
    (seen,) = rows(f"#Fields: {field} c-ip cs-host", f"{value} 10.0.0.5 a.example")
    assert seen.time.isoformat() == time


@pytest.mark.parametrize(("taken", "duration"), [("1500", 1.5), ("1.5", 1.5), ("-", None)])
def test_the_start_is_before_the_row(taken, duration):
    """A tunnel of hours is written at its end."""
    (seen,) = rows("#Fields: date time time-taken c-ip cs-host", f"2026-11-23 05:34:02 {taken} 10.0.0.5 a.example")
    assert seen.duration == duration
    assert seen.time.isoformat() == ("2026-11-23T05:34:00.500000+00:00" if duration else "2026-11-23T05:34:02+00:00")


@pytest.mark.parametrize(
    ("fields", "values", "action"),
    [
        ("sc-filter-result x-exception-id sc-status", "OBSERVED - 200", "allowed"),
        ("sc-filter-result x-exception-id sc-status", "DENIED policy_denied 403", "blocked"),
        ("sc-filter-result x-exception-id sc-status", "DENIED authentication_failed 407", "challenged"),
        ("sc-filter-result x-exception-id sc-status", "PROXIED tcp_error 503", "failed"),
        ("sc-filter-result x-exception-id sc-status", "PROXIED - 403", "allowed"),
        ("action sc-status", "Denied 12202", "blocked"),
        ("action sc-status", "Denied 12209", "challenged"),
        ("action sc-status", "Failed 10060", "failed"),
        ("x-policy-action sc-status", "block 200", "blocked"),
        ("sc-status", "200", None),
    ],
)
def test_what_was_decided(fields, values, action):
    """Denied is an attempt; asking for a log-in first is no refusal; a site's own 403 was reached."""
    (seen,) = rows(
        f"#Fields: date time c-ip cs-username cs-host {fields}", f"2026-11-23 05:34:02 10.0.0.5 bob a.example {values}"
    )
    assert seen.action == action
    assert (seen.user, seen.claimed_user) == ((None, "bob") if action == "challenged" else ("bob", None))


def test_an_unauthenticated_name_in_tmg_is_only_claimed():
    """`sc-authenticated` N: the client said so."""
    (seen,) = rows(
        "#Fields: c-ip\tcs-username\tsc-authenticated\tdate\ttime\tr-host", "10.0.0.5\tbob\tN\t2026-11-23\t05:34:02\ta.example"
    )
    assert (seen.user, seen.claimed_user) == (None, "bob")
    (seen,) = rows("#Fields: c-ip\tcs-username\tdate\ttime\tr-host", "10.0.0.5\tanonymous\t2026-11-23\t05:34:02\ta.example")
    assert (seen.user, seen.claimed_user) == (None, None)


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ("cs-method cs-uri-scheme cs-host cs-uri-port", "CONNECT tcp a.example 443"),
        ("cs-method cs-uri-scheme cs-host cs-uri-port", "- ssl a.example 443"),
        ("cs-protocol cs-uri r-port", "SSL-tunnel a.example:443 443"),
        ("cs-method cs-uri", "CONNECT tcp://a.example:443/"),
    ],
)
def test_tunnels(fields, values):
    """CONNECT in the ways that products write it."""
    (seen,) = rows(f"#Fields: date time c-ip {fields}", f"2026-11-23 05:34:02 10.0.0.5 {values}")
    assert (seen.kind, seen.name, seen.server_port, seen.path) == ("proxy_connect", "a.example", 443, None)


def test_quotes_and_double_blanks():
    """A quoted value may hold blanks and quotes; two blanks are an empty value, or nothing."""
    head = "#Fields: date time c-ip cs-categories cs(Referer) cs-host"
    for values in ('"A; ""B"" C" - a.example', '"A" - a.example', "x  a.example", "- -  a.example"):
        (seen,) = rows(head, f"2026-11-23 05:34:02 10.0.0.5 {values}")
        assert (seen.client, seen.name) == ("10.0.0.5", "a.example")


@pytest.mark.parametrize(
    "line",
    ["", "2026-11-23 05:34:02 10.0.0.5", ROW + " more", ROW.replace("05:34:02", "25:34:02"), ROW.replace("2026-11-23", "-")],
)
def test_a_row_with_other_columns_or_no_time_is_malformed(line):
    """Read by position, a column too many would put one person's name to another's address."""
    if line:
        with pytest.raises(Malformed):
            rows(HEAD, line)
    with pytest.raises(Malformed, match="no #Fields"):
        w3c.parse(b"2026-11-23 05:34:02 10.0.0.5 a.example", reader("w3c")._stream(w3c.FORMAT))


def test_columns_that_are_given_in_the_settings():
    """Syslog leaves the header out: an administrator names the columns."""
    made = w3c.of_fields("date time c-ip cs-host")
    (seen,) = Reader(made, clock()).parse(b"2026-11-23 05:34:02 10.0.0.5 a.example")
    assert (seen.client, seen.name) == ("10.0.0.5", "a.example")
    for fields, why in (("date time cs-host", "c-ip"), ("date time c-ip cs-host %x", "no column"), ("c-ip cs-host", "time")):
        with pytest.raises(ValueError, match=why):
            w3c.of_fields(fields)


def test_a_server_that_names_no_site_tells_of_no_access():
    """IIS by default writes paths only; what a department's own server was asked is nobody's visit elsewhere."""
    assert rows("#Fields: date time c-ip cs-method cs-uri-stem", "2026-11-23 05:34:02 10.0.0.5 GET /pimeyes.com") == []
