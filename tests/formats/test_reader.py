"""The reader of one stream: headers, mixed files, and going on after a restart."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from sentinel.formats import FORMATS
from sentinel.formats.clock import StreamClock
from sentinel.formats.format import Malformed
from sentinel.formats.reader import Reader
from tests.formats.samples import clock, reader

DNSMASQ = b"Nov 23 07:24:43 dnsmasq[48]: query[A] pimeyes.com from 10.20.30.11"
SQUID = b"1700000000.123 345 192.0.2.7 TCP_TUNNEL/200 5120 CONNECT pimeyes.com:443 - HIER_DIRECT/203.0.113.9 -"


def test_what_is_not_the_records_own_is_taken_off():
    """A byte order mark, CRLF line ends and the NULs of a preallocated file."""
    for record in (b"\xef\xbb\xbf" + DNSMASQ, DNSMASQ + b"\r", b"\0\0" + DNSMASQ + b"\0", DNSMASQ):
        assert [seen.client for seen in reader("dnsmasq").parse(record)] == ["10.20.30.11"]
    assert reader("dnsmasq").parse(b"\0\0\0") == ()


def test_a_record_of_another_format_is_read_by_its_own():
    """Several programs may write to one file; the parser named in the evidence is the one that read the record."""
    reading = reader("squid-native")
    assert [seen.kind for seen in reading.parse(DNSMASQ)] == ["dns_query"]
    assert reading.parser == "dnsmasq/1"
    assert [seen.kind for seen in reading.parse(SQUID)] == ["proxy_connect"]
    assert reading.parser == "squid-native/1"


def test_without_a_format_each_record_is_read_by_the_one_that_recognises_it():
    """A shared syslog file has no one format, and a look-up in it still counts."""
    reading = Reader(None, clock())
    assert [seen.name for seen in reading.parse(DNSMASQ)] == ["pimeyes.com"]
    with pytest.raises(Malformed):
        reading.parse(b"something else")
    assert reading.parser == "none"
    reading.use(FORMATS["squid-native"])
    assert reading.parser == "squid-native/1"


def test_what_no_format_reads_is_malformed_by_its_own():
    """The reason is the one of the format in force: it tells the administrator what was expected."""
    with pytest.raises(Malformed, match="hierarchy/peer"):
        reader("squid-native").parse(b"something else")


def test_a_restarted_reader_goes_on():
    """Columns and years in force are part of the position: after a crash the next row is read as before."""
    before = reader("zeek-tsv")
    for line in (b"#separator \\x09", b"#path\tdns", b"#fields\tts\tid.orig_h\ttrans_id\tquery"):
        assert before.parse(line) == ()
    after = reader("zeek-tsv")
    after.restore(json.loads(json.dumps(before.state())))
    (seen,) = after.parse(b"1700000000.0\t10.0.0.5\t1\tpimeyes.com")
    assert (seen.name, seen.client) == ("pimeyes.com", "10.0.0.5")
    assert after.state() == before.state()


def test_probes_of_a_file_date_its_first_record():
    """A file of several years that can be read out of order: its first record is not of the last year."""
    reading = Reader(FORMATS["dnsmasq"], StreamClock(UTC, datetime(2026, 3, 3, tzinfo=UTC)))
    probes = [DNSMASQ.replace(b"Nov 23", day) for day in (b"Nov 23", b"Apr  1", b"Sep 30", b"Jan  2", b"Oct 24", b"Mar  2")]
    reading.learn([b"cut in the mid", *probes[:3], b"Nov 31" + DNSMASQ[6:], b"", *probes[3:]])
    assert [seen.time.year for probe in probes for seen in reading.parse(probe)] == [2023, 2024, 2024, 2025, 2025, 2026]


def test_assumptions_are_the_clocks():
    """What was assumed goes into the coverage."""
    reading = reader("dnsmasq")
    reading.parse(DNSMASQ)
    assert len(reading.assumptions()) == 2
