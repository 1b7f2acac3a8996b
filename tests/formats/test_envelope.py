"""Syslog headers: taken off, with the device's own host and time kept."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.formats.envelope import Envelope, peel
from sentinel.formats.format import Malformed, as_text
from sentinel.formats.times import epoch_time, read_time
from tests.formats.samples import clock


@pytest.mark.parametrize(
    ("before", "time", "host", "program"),
    [
        ("<134>Nov 23 06:13:40 ns1 named[12329]: ", "Nov 23 06:13:40", "ns1", "named"),
        ("Nov  3 06:13:40 ns1 named[12329]: ", "Nov  3 06:13:40", "ns1", "named"),
        ("<30>Nov 23 06:13:40 dnsmasq[14701]: ", "Nov 23 06:13:40", None, "dnsmasq"),
        ("<134>Nov 23 2026 06:13:40.123 ns1 named: ", "Nov 23 2026 06:13:40.123", "ns1", "named"),
        ("Nov 23 06:13:40 2001:db8::53 named[1]: ", "Nov 23 06:13:40", "2001:db8::53", "named"),
        ("Nov 23 06:13:40 proxy1 (squid-1)[123]: ", "Nov 23 06:13:40", "proxy1", "(squid-1)"),
        ("2026-11-23T06:13:40.063624+01:00 ns1 named[1]: ", "2026-11-23T06:13:40.063624+01:00", "ns1", "named"),
        ("<134>1 2026-11-23T06:13:40.06+01:00 ns1 named 12329 - -  ", "2026-11-23T06:13:40.06+01:00", "ns1", "named"),
        (
            '<134>1 2026-11-23T06:13:40Z ns1 named - ID47 [a@1 b="c\\]d"][e f="\\"g"] \ufeff',
            "2026-11-23T06:13:40Z",
            "ns1",
            "named",
        ),
        ("<134>1 - - - - - - ", None, None, None),
        ("83 <134>1 2026-11-23T06:13:40Z ns1 named - - - ", "2026-11-23T06:13:40Z", "ns1", "named"),
        ("<13>Nov 23 07:00:00 relay <134>Nov 23 06:13:40 ns1 named[1]: ", "Nov 23 06:13:40", "ns1", "named"),
        ("<13>1 2026-11-23T07:00:00Z relay app - - - Nov 23 06:13:40 ns1 named[1]: ", "Nov 23 06:13:40", "ns1", "named"),
    ],
)
def test_each_header_comes_off(before, time, host, program):
    """RFC 3164, RFC 5424, rsyslog's files, octet counts, and one relay behind another."""
    assert peel(f"{before}query: x: y") == Envelope("query: x: y", time, host, program)


@pytest.mark.parametrize(
    "text", ["", "query: a", "Nov 23 query: a", "1700000000.123 345 192.0.2.7", "<134>", "Nov 23 06:13:40", "{}"]
)
def test_a_text_without_a_header_is_its_own_message(text):
    """Nothing is cut off on suspicion."""
    assert peel(text) == Envelope(text)


def test_a_payload_of_headers_is_not_peeled_for_ever():
    """More headers than relays there are is somebody's payload."""
    assert peel("Nov 23 06:13:40 a b: " * 9).message.count("a b:") == 6


@given(st.binary(max_size=300))
def test_any_text_is_peeled_or_left(record):
    """Whatever arrives at a syslog port has a message."""
    text = as_text(record)
    assert peel(text).message in text or peel(text).message == ""


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23T06:13:40.5Z", "2026-11-23T06:13:40.500000+00:00"),
        ("2026-11-23 06:13:40,5", "2026-11-23T05:13:40.500000+00:00"),
        ("2026-11-23T06:13:40.123456789+0100", "2026-11-23T05:13:40.123456+00:00"),
        ("23-Nov-2026 06:13:40.060", "2026-11-23T05:13:40.060000+00:00"),
        ("Nov  3 06:13:40", "2026-11-03T05:13:40+00:00"),
        ("Nov 3 06:13:40.25", "2026-11-03T05:13:40.250000+00:00"),
        ("Jul 23 2026 06:13:40", "2026-07-23T04:13:40+00:00"),
    ],
)
def test_times(text, utc):
    """Each form, with the zone and year that the stream's clock adds."""
    assert read_time(text, clock()).isoformat() == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "Foo 23 06:13:40",
        "30-Feb-2026 06:13:40",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "Nov 23 25:00:00",
    ],
)
def test_no_time(text):
    """A date that does not exist, or that UTC cannot hold, is malformed and nothing worse."""
    with pytest.raises(Malformed):
        read_time(text, clock())


@given(st.text(alphabet="0123456789-:.TZ+ JanFebNov,", max_size=40))
def test_any_text_is_a_time_or_malformed(text):
    """Damaged times are refused in the one declared way."""
    for read in (lambda: read_time(text, clock()), lambda: epoch_time(text)):
        with contextlib.suppress(Malformed):
            assert read().utcoffset() is not None
