"""Records in other programs' envelopes, and files of several formats: each is read as if it stood alone."""

from __future__ import annotations

import random

import pytest

from sentinel.extract import Extractor, Ruling
from sentinel.formats import FORMATS
from sentinel.formats.detect import detect
from sentinel.formats.envelope import bared, peel
from sentinel.formats.format import Malformed
from sentinel.formats.reader import Reader
from sentinel.policy.policy import Policy
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import load_catalog
from sentinel.sources.batch import Batch, Input
from tests.formats.samples import WRITTEN, clock, reader, records, samples_of

ENVELOPES = {
    "rfc3164": "<134>Nov 23 06:13:40 col1 app[12]: ",
    "without a priority": "Nov  3 06:13:40 col1 app: ",
    "without a program": "<134>Nov 23 06:13:40 col1 ",
    "without either": "Nov 23 06:13:40 col1 ",
    "as cisco writes it": "<134>*Nov 23 2026 06:13:40.123: app: ",
    "rfc5424": "<134>1 2026-11-23T06:13:40.063624+01:00 col1 app 12 - - ",
    "with structured data": '<134>1 2026-11-23T06:13:40Z col1 app 12 - [a@1 b="c \\"d\\]"] \ufeff',
    "counted": "123 <134>1 2026-11-23T06:13:40Z col1 app 12 - - ",
    "rsyslog's file": "2026-11-23T06:13:40.063624+01:00 col1 app[12]: ",
    "relayed twice": "<134>Nov 23 06:13:41 relay <134>Nov 23 06:13:40 col1 app[12]: ",
    "relayed by another": "<134>1 2026-11-23T06:13:41+01:00 relay app 1 - - <134>Nov 23 06:13:40 col1 app: ",
    "a priority alone": "<134>",
}
UNLIKE = {"w3c": "without its header, what is ahead of the first column is a part of it"}
TEXTS = sorted(name for name, one in FORMATS.items() if one.made_as != "reader" and name not in UNLIKE)


def told(seen):
    """Return what does not come from the envelope."""
    return [(one.kind, one.client, one.user, one.claimed_user, one.name, one.url, one.action) for one in seen]


def bare_samples(name):
    """Yield a format's headers, and its sample records that have no envelope and no time in the envelope's form."""
    log_format = FORMATS[name]
    for path in samples_of(name):
        lines = [line for line in records(path) if line.strip()]
        for line in lines[:25]:
            header = log_format.read_header and line.startswith(log_format.header_starts)
            enveloped = peel(line.decode("utf-8", "replace")).time_text or line.startswith(b"<")
            own = line[:4].isalpha() or (line[:3].isalpha() and line[3:4] == b" ")  # begins with a month, as a header does
            if header or not (enveloped or own):
                yield line, bool(header)


@pytest.mark.parametrize("name", TEXTS)
def test_a_record_says_in_any_envelope_what_it_says_alone(name):
    """Above all: no piece of the envelope becomes a client or a user."""
    for envelope in ENVELOPES.values():
        alone, within = reader(name), reader(name)
        for line, header in bare_samples(name):
            try:
                expected = told(alone.parse(line))
            except Malformed:
                continue
            if header:
                within.parse(line)
            elif expected:
                assert told(within.parse(envelope.encode() + line)) == expected, (envelope, line)


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
def test_a_format_is_told_in_any_envelope(envelope):
    """A collector's file has the collector's headers, of whatever form."""
    for name in TEXTS:
        if FORMATS[name].header_starts or name == "windows-dns":  # columns from headers; records of several lines
            continue
        for path in samples_of(name)[:1]:
            lines = [line for line in records(path) if line.strip()]
            if peel(lines[0].decode("utf-8", "replace")).time_text is None:
                assert [one.name for one, _ in detect([envelope.encode() + line for line in lines[:40]])][:1] == [name], path


def test_a_file_that_mixes_all_formats_is_read_record_by_record():
    """What a collector writes into one file: each record is read by its own format, and none by another one."""
    mixed = []
    for name in TEXTS:
        if FORMATS[name].header_starts or FORMATS[name].follow:
            continue
        for path in samples_of(name)[:2]:
            for line in [line for line in records(path) if line.strip()][:12]:
                try:
                    expected = told(Reader(FORMATS[name], clock()).parse(line))
                except Malformed:
                    continue
                others = [one.name for one in FORMATS.values() if one.recognise([line]) == 1.0]
                if expected and others == [name]:
                    mixed.append((name, line, expected))
    assert len({name for name, _line, _expected in mixed}) > 40
    random.Random(2).shuffle(mixed)
    reading = Reader(FORMATS["dnsmasq"], clock())
    for name, line, expected in mixed:
        assert told(reading.parse(line)) == expected, line
        assert reading.parser.startswith(name + "/")


def test_findings_in_a_mixed_file_have_their_own_formats_client():
    """End to end: a resolver's, a proxy's and a firewall's records in one file."""
    lines = [
        b"Nov 23 06:13:40 ns1 dnsmasq[1]: query[A] pimeyes.com from 10.0.0.5",
        b"<134>Nov 23 06:13:40 col1 1795410820.000 100 10.0.0.6 TCP_MISS/200 500 GET http://pimeyes.com/ jdoe HIER_DIRECT/- -",
        b'date=2026-11-23 time=05:34:02 logid="1" type="utm" subtype="dns" level="notice" srcip=10.0.0.7 qname="pimeyes.com"',
        b"something else",
    ]
    ruling = Ruling.of(load_catalog([builtin_rules()]), Policy())
    source = Input("all.log", "key", WRITTEN, None, None, "UTC")
    matched, _ = Extractor(ruling).take(Batch(source, memoryview(b"\n".join(lines * 3)), 0, {}, WRITTEN, ends=True))
    assert {(one.finding.observation.client, one.finding.parser.partition("/")[0]) for one in matched} == {
        ("10.0.0.5", "dnsmasq"),
        ("10.0.0.6", "squid-native"),
        ("10.0.0.7", "fortigate"),
    }


@pytest.mark.parametrize("text", ["", "no header", '{"a": 1}', "10.0.0.5 - - [", "Nov 23 06:13:40 "])
def test_what_has_no_header_is_not_bared(text):
    """Nothing is taken off a record that begins with itself."""
    assert list(bared(text)) == []
