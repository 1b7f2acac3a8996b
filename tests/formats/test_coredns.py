"""CoreDNS's log plugin: its forms, and what runs before them."""

from __future__ import annotations

import pytest

from sentinel.formats import coredns
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import WRITTEN, clock

LINE = '[INFO] 10.0.0.5:50759 - 29008 "A IN PimEyes.com. udp 41 false 4096" NOERROR qr,rd,ra 68 0.5s'


def read(line: str):
    """Return the observations of a line."""
    return coredns.parse(line.encode(), Stream(clock()))


@pytest.mark.parametrize(
    ("before", "time"),
    [
        ("2019-11-28T14:47:20.5Z ", "2019-11-28T14:47:20+00:00"),
        ("2025-01-02T03:04:05.500000000+01:00 stdout F ", "2025-01-02T02:04:05+00:00"),
        ("2018/08/01 10:00:00 ", "2018-08-01T07:59:59.500000+00:00"),
        ("Nov 23 07:24:44 dns1 coredns[7]: ", "2026-11-23T06:24:43.500000+00:00"),
    ],
)
def test_the_time_is_the_questions(before, time):
    """A line is written with its answer; whatever put a time before it did so then."""
    (seen,) = read(before + LINE)
    assert seen.time.isoformat() == time
    assert (seen.client, seen.client_port, seen.name, seen.query_type, seen.duration) == (
        "10.0.0.5",
        50759,
        "pimeyes.com",
        "A",
        0.5,
    )


def test_without_any_time_it_is_dated_with_the_files():
    """By default the line has none; the hit must not be lost."""
    stream = Stream(clock())
    (seen,) = coredns.parse(LINE.encode(), stream)
    assert (WRITTEN - seen.time).total_seconds() == 0.5
    assert seen.time_text is None
    assert "no time" in stream.clock.assumptions()[0]


@pytest.mark.parametrize(
    ("line", "client", "action"),
    [
        (LINE.replace("10.0.0.5:", "[2001:db8::5]:"), "2001:db8::5", None),
        (LINE.replace("NOERROR qr", "0 NOERROR qr").replace("0.5s", "0.5s"), "10.0.0.5", None),
        (LINE.replace("NOERROR qr,rd,ra", "REFUSED qr,rd"), "10.0.0.5", "blocked"),
        (LINE.replace("NOERROR qr,rd,ra", "NXDOMAIN qr,aa,rd"), "10.0.0.5", None),
        (LINE.replace("NOERROR qr,rd,ra", "- "), "10.0.0.5", None),
        (LINE.replace("udp", "https"), "10.0.0.5", None),
    ],
)
def test_forms(line, client, action):
    """IPv6 in brackets, `combined` with its opcode, a refusal, no answer at all, DNS over HTTPS."""
    (seen,) = read(line)
    assert (seen.client, seen.name, seen.action) == (client, "pimeyes.com", action)


@pytest.mark.parametrize(
    "line",
    ["[INFO] plugin/reload: Running configuration MD5 = 7", "[ERROR] plugin/errors: 2 pimeyes.com. A: dial tcp: i/o timeout"],
)
def test_messages_of_plugins_tell_of_nobody(line):
    """An error names the question and not who asked."""
    assert read(line) == ()


@pytest.mark.parametrize("line", ["", "10.0.0.5:1 - 2 x", LINE.partition('" NOERROR')[0] + '" ', LINE.replace("[INFO] ", "")])
def test_another_shape_is_malformed(line):
    """Nothing is guessed from half a line."""
    with pytest.raises(Malformed):
        read(line)
