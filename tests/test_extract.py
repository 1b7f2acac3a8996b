"""The extractor: what it passes over is nothing that a full parse would have found, and each finding lies where it says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.activity.sessions import client_key
from sentinel.extract import Extractor, Ruling, lines_in, records_in
from sentinel.formats import FORMATS
from sentinel.policy.policy import Policy
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import load_catalog
from sentinel.sources.batch import Batch, Input

RULING = Ruling.of(load_catalog([builtin_rules()]), Policy())
NOW = datetime(2026, 11, 24, tzinfo=UTC)
HOSTS = [
    "pimeyes.com",
    "app.clearview.ai",
    "jsc5.pimeyes.com",
    "facecheck.id",
    "dns.google",
    "notpimeyes.com",
    "example.org",
    "huggingface.co",
]
PATHS = ["/", "/api/search", "/api/v1/searches", "/spaces/UnFakePro/FaceSearch", "/a?u=pimeyes.com", "/%61pi/search"]

LINES = {path.stem: path.read_text() for path in (Path(__file__).parent / "data" / "formats" / "lines").iterdir()}
"""For each format its header lines and a record of an access, with @n@, @id@, @host@, @labels@ and @path@ to be filled.

@and@ parts the records where one access takes several.
"""


def lines_of(name, n, host, path="/", written=None):
    """Return a format's header lines and one record."""
    labels = "".join(f"({len(label)}){label}" for label in host.split(".")) + "(0)"
    text = (
        LINES[name]
        .replace("@n@", str(n))
        .replace("@id@", f"4F1A2B3C0{n}")
        .replace("@host@", written or host)
        .replace("@labels@", labels)
    )
    header, newline, record = text.removesuffix("\n").rpartition("\n")
    record = record.replace("@path@", path).replace("@and@", "\n")
    return (header + newline).encode(), (record + "\n").encode("utf-8")


def spelt(host, upper, escape, name):
    """Write a host name as a format's writer may: letters of any case, and escaped where the format has escapes."""
    written = "".join(c.upper() if u else c for c, u in zip(host, upper, strict=False))
    template = {"json": "\\u{:04x}", "zeek": "\\x{:02x}", "percent": "%{:02x}"}.get(FORMATS[name].spelling)
    if template is None:
        return written
    return "".join(template.format(ord(c)) if e else c for c, e in zip(written, escape, strict=False))


def batch(data, name, offset=0):
    return Batch(Input("log", "key", NOW, None, name, "UTC"), memoryview(data), offset, {}, NOW, ends=True)


def found(data, name, *, thorough):
    extractor = Extractor(RULING, thorough=thorough)
    matched, _ = extractor.take(batch(data, name))
    return {(one.finding.id, one.finding.stage, one.search) for one in matched}, matched, extractor.coverage()[0]


bits = st.lists(st.booleans(), min_size=40, max_size=40)
accesses = st.lists(
    st.tuples(st.integers(1, 250), st.sampled_from(HOSTS), st.sampled_from(PATHS), bits, bits, st.integers(0, 9)),
    min_size=1,
    max_size=12,
)


@pytest.mark.integration
@pytest.mark.parametrize("name", sorted(name for name in LINES if FORMATS[name].made_as == "code"))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(accesses=accesses, hostile=st.binary(max_size=40), cut=st.integers(0, 200))
def test_scanning_first_finds_what_parsing_everything_finds(name, accesses, hostile, cut):
    """Hits are one line in a hundred thousand; none of them may be lost to the short way of finding them."""
    same_both_ways(name, accesses, hostile, cut)


@pytest.mark.integration
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(name for name in LINES if FORMATS[name].made_as != "code")),
    accesses=accesses,
    hostile=st.binary(max_size=40),
    cut=st.integers(0, 200),
)
def test_scanning_first_finds_the_same_by_every_mapping(name, accesses, hostile, cut):
    """A mapping is data, and may be a user's own: its spelling follows from its shape, for all of them alike."""
    same_both_ways(name, accesses, hostile, cut)


def same_both_ways(name, accesses, hostile, cut):
    """Hold that records, some of them damaged, give the same findings whether they are scanned first or all parsed."""
    data = lines_of(name, 1, "")[0]
    for n, host, path, upper, escape, damage in accesses:
        line = lines_of(name, n, host, path, spelt(host, upper, escape, name))[1]
        if damage == 0:
            line = line[: cut % len(line)] + hostile.replace(b"\n", b"") + b"\n"
        elif damage == 1:
            line = line[: cut % len(line)] + hostile.replace(b"\n", b"") + line[cut % len(line) :]
        data += line
    assert found(data, name, thorough=False)[0] == found(data, name, thorough=True)[0]


NAMELESS = {"zscaler-fw-csv"}
"""What tells of addresses only, so that no rule can match it."""


@pytest.mark.parametrize(
    "name", sorted(name for name, one in FORMATS.items() if one.yields and one.made_as != "reader" and name not in NAMELESS)
)
def test_the_formats_of_the_property_are_all_there_are(name):
    """A format without a line here would be left out of the promise. What readers give is no lines, and has its own tests."""
    ids, matched, _ = found(b"".join(lines_of(name, 7, "pimeyes.com")), name, thorough=False)
    assert len(ids) == 1
    assert client_key(matched[0].finding) in ("10.0.0.7", "user7@corp.example", "pc-7")


def test_a_findings_raw_bytes_lie_at_its_offset():
    """Whoever doubts a finding opens the file there."""
    _, quiet = lines_of("squid-native", 1, "example.org")
    data = quiet * 3 + lines_of("squid-native", 9, "pimeyes.com")[1].replace(b"\n", b"\r\n") + quiet
    _, (one,), coverage = found(data, "squid-native", thorough=False)
    origin = one.finding.origin
    assert data[origin.offset :].startswith(one.finding.raw)
    assert origin.offset == 3 * len(quiet)
    assert coverage.records == 5


def test_what_blinds_us_is_counted_and_not_kept():
    """A look-up of a DoH resolver accuses nobody; that it was there has to be said."""
    ids, _, coverage = found(lines_of("dnsmasq", 3, "dns.google")[1], "dnsmasq", thorough=False)
    assert ids == set()
    assert coverage.unreadable == {"doh": 1}


def test_a_log_that_is_not_understood_is_never_clean():
    """Nothing found in it means nothing."""
    extractor = Extractor(RULING)
    extractor.take(batch(b"lorem ipsum\ndolor sit\n", None))
    (coverage,) = extractor.coverage()
    assert not coverage.understood
    assert any("not understood" in note for note in coverage.notes)


@given(
    st.lists(st.binary(max_size=30).map(lambda record: record.replace(b"\n", b"").replace(b"\r", b"")), max_size=20),
    st.booleans(),
)
def test_records_are_counted_and_cut_alike(records, ended):
    """The count comes from a vector library, the records from Python; they must mean the same."""
    data = b"\n".join(records) + (b"\n" if ended and records else b"")
    cut = list(records_in(memoryview(data)))
    assert lines_in(memoryview(data)) == len(cut)
    assert all(data[offset : offset + len(record)] == record for offset, record in cut)
