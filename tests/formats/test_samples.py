"""Every format against logs of the real programs, and against bytes that nobody meant for it."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.formats import FORMATS
from sentinel.formats.detect import candidates, detect
from sentinel.formats.format import Malformed
from sentinel.observation import Observation
from tests.formats.samples import ENDING, OTHERS, SAMPLES, reader, records, samples_of, told

UNSAMPLED = {
    "panos": {"quic_client_hello", "proxy_connect"},
    "suricata-eve": {"proxy_connect"},
    "zeek-tsv": {"proxy_connect", "quic_client_hello"},
    "zeek-json": {"proxy_connect", "quic_client_hello"},
}
"""What a format yields, and no sample of it holds: cases in its own test do."""
IDS = [f"{name}:{path.name}" for name, path in SAMPLES]
LINES = {name: [line for path in samples_of(name) for line in records(path) if line] for name in FORMATS}


@pytest.mark.parametrize(("name", "path"), SAMPLES, ids=IDS)
def test_each_record_says_what_is_expected_of_it(name, path):
    """Client, name, time and decision of each record, checked once by eye and held since: they are evidence."""
    expected = path.with_name(path.name + ENDING).read_text().splitlines()
    assert list(told(name, path)) == expected


@pytest.mark.parametrize("log_format", FORMATS.values(), ids=FORMATS)
def test_a_format_says_where_it_comes_from_and_has_samples(log_format):
    """Whoever doubts a parser finds the reference and lines of the real program."""
    assert log_format.reference.startswith("https://") or log_format.reference.startswith("http://")
    assert log_format.title
    assert samples_of(log_format.name), "no sample"


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_format_yields_what_it_says_it_does(name):
    """The list of formats tells people what they can expect; each kind is in some sample."""
    said = [line for path in samples_of(name) for line in path.with_name(path.name + ENDING).read_text().splitlines()]
    seen = {one["kind"] for line in said for one in json.loads(line) if isinstance(one, dict)}
    assert seen <= set(FORMATS[name].yields)
    # That CONNECT opens a tunnel is one rule for all mappings, with a test of its own.
    connects = {"proxy_connect"} if FORMATS[name].made_as == "mapping" else set()
    assert seen >= set(FORMATS[name].yields) - UNSAMPLED.get(name, set()) - connects


@pytest.mark.parametrize(("name", "path"), SAMPLES, ids=IDS)
def test_a_sample_is_detected_whatever_the_order_of_its_lines(name, path):
    """Logs begin with start-up messages or in the middle; where a format's lines stand must not matter."""
    if FORMATS[name].binary:
        pytest.skip("told by the beginning of its file, not by records")
    lines = [line for line in records(path) if line]
    random.Random(1).shuffle(lines)
    assert [found.name for found, _ in detect(lines)][:1] == [name]
    assert [found.name for found, _ in detect([b"\xef\xbb\xbf" + lines[0] + b"\r", *lines[1:]])][:1] == [name]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.name)
def test_logs_of_other_products_are_not_claimed(path):
    """A log read by the wrong format would give wrong clients: better that it is not understood."""
    lines = [line for line in records(path) if line]
    assert [found.name for found, _ in detect(lines[:200])] == []


CODE = sorted(name for name in FORMATS if FORMATS[name].made_as == "code")
DATA_MADE = sorted(set(FORMATS) - set(CODE))


@settings(max_examples=60, deadline=None)
@given(record=st.binary(max_size=400))
@pytest.mark.parametrize("name", CODE)
def test_any_bytes_are_observations_or_malformed(name, record):
    """What strangers write must not end the reading."""
    only_observations(name, record)


@pytest.mark.integration
@settings(max_examples=80, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", [name for name in CODE if LINES[name]])
def test_a_damaged_line_is_observations_or_malformed(name, data):
    """Cut, overwritten and doubled lines happen: full disks, UDP syslog, preallocated files."""
    damaged(name, data)


@pytest.mark.integration
@settings(max_examples=300, deadline=None)
@given(data=st.data(), name=st.sampled_from(DATA_MADE))
def test_a_damaged_line_of_a_mapped_format_is_observations_or_malformed(name, data):
    """Mappings share their shapes, so one test draws from all of them."""
    damaged(name, data)


def damaged(name, data):
    """Hold that a sample's line, with a piece of it overwritten, is read or refused."""
    line = bytearray(data.draw(st.sampled_from(LINES[name])))
    at = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(at, len(line)))
    junk = data.draw(
        st.one_of(st.binary(max_size=12), st.sampled_from([b"99999999999999999999", b"Feb 30 ", b"\\x", b"%", b"://[", b" "]))
    )
    line[at:end] = junk
    only_observations(name, bytes(line))


def only_observations(name: str, record: bytes) -> None:
    """Hold that a record is read into observations, or refused in the one declared way; by the reader and by detection."""
    reading = reader(name)
    try:
        seen = reading.parse(record)
    except Malformed:
        seen = ()
    assert all(isinstance(one, Observation) for one in seen)
    assert all(0 < score <= 1 for _, score in candidates([record]))


@pytest.mark.integration
def test_long_records_take_no_longer_than_their_length():
    """A record may be a megabyte of anything: none of the patterns may try it in every possible way."""
    for name, lines in LINES.items():
        for line in lines[:1]:
            for junk in (b" ", b"a", b": query: a IN A + (", b"[", b"\\x41", b"HIER_A/b ", b"- - ", b'{"a":', b"1.2.3.4#5 ("):
                only_observations(name, line + junk * (60_000 // len(junk)))
                only_observations(name, junk * (60_000 // len(junk)))
