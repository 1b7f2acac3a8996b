"""The extractor: what it passes over is nothing that a full parse would have found, and each finding lies where it says."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.extract import Extractor, Ruling, lines_in, records_in
from sentinel.formats import FORMATS
from sentinel.policy.policy import Policy
from sentinel.signatures.catalog import builtin_rules, load_catalog
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

DNS_TSV = (
    "#separator \\x09\n#path\tdns\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tquery\tqtype_name\n"
)
BIND = "23-Nov-2026 07:31:02.444 queries: info: client @0x7f 10.0.0.{n}#33088 ({host}): query: {host} IN A + (10.0.0.53)\n"
SQUID = "1795411169.935      3 10.0.0.{n} TCP_MISS/200 374 POST https://{host}{path} - HIER_DIRECT/192.0.2.9 text/html\n"
ZEEK = (
    '{{"ts":1575413123.29,"uid":"C{n}","id.orig_h":"10.0.0.{n}","id.resp_h":"10.0.0.53","id.resp_p":53,'
    '"proto":"udp","trans_id":7,"query":"{host}","qtype":1,"qtype_name":"A"}}\n'
)
LINES = {
    "bind-query": BIND,
    "dnsmasq": "Nov 23 07:24:43 dnsmasq[49]: {n} 10.0.0.{n}/44633 query[A] {host} from 10.0.0.{n}\n",
    "unbound": "[1795410884] unbound[13693:1] info: 10.0.0.{n} {host}. A IN\n",
    "squid-native": SQUID,
    "zeek-tsv": "1379288668.060639\tC{n}\t10.0.0.{n}\t1030\t10.0.0.53\t53\tudp\t{host}\tA\n",
    "zeek-json": ZEEK,
}


def spelt(host, upper, escape, name):
    """Write a host name as a format's writer may: letters of any case, and escaped where the format has escapes."""
    written = "".join(c.upper() if u else c for c, u in zip(host, upper, strict=False))
    template = {"zeek-json": "\\u{:04x}", "zeek-tsv": "\\x{:02x}"}.get(name)
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


@pytest.mark.parametrize("name", sorted(LINES))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(accesses=accesses, hostile=st.binary(max_size=40), cut=st.integers(0, 200))
def test_scanning_first_finds_what_parsing_everything_finds(name, accesses, hostile, cut):
    """Hits are one line in a hundred thousand; none of them may be lost to the short way of finding them."""
    data = DNS_TSV.encode() if name == "zeek-tsv" else b""
    for n, host, path, upper, escape, damage in accesses:
        line = LINES[name].format(n=n, host=spelt(host, upper, escape, name), path=path).encode()
        if damage == 0:
            line = line[: cut % len(line)] + hostile.replace(b"\n", b"") + b"\n"
        elif damage == 1:
            line = line[: cut % len(line)] + hostile.replace(b"\n", b"") + line[cut % len(line) :]
        data += line
    assert found(data, name, thorough=False)[0] == found(data, name, thorough=True)[0]


@pytest.mark.parametrize("name", sorted(LINES))
def test_the_formats_of_the_property_are_all_there_are(name):
    """A format without a line here would be left out of the promise."""
    assert set(LINES) == set(FORMATS)
    data = (DNS_TSV if name == "zeek-tsv" else "").encode() + LINES[name].format(n=7, host="pimeyes.com", path="/").encode()
    ids, matched, _ = found(data, name, thorough=False)
    assert len(ids) == 1
    assert matched[0].finding.observation.client == "10.0.0.7"


def test_a_findings_raw_bytes_lie_at_its_offset():
    """Whoever doubts a finding opens the file there."""
    quiet = LINES["squid-native"].format(n=1, host="example.org", path="/").encode()
    data = quiet * 3 + LINES["squid-native"].format(n=9, host="pimeyes.com", path="/").encode().replace(b"\n", b"\r\n") + quiet
    _, (one,), coverage = found(data, "squid-native", thorough=False)
    origin = one.finding.origin
    assert data[origin.offset :].startswith(one.finding.raw)
    assert origin.offset == 3 * len(quiet)
    assert coverage.records == 5


def test_what_blinds_us_is_counted_and_not_kept():
    """A look-up of a DoH resolver accuses nobody; that it was there has to be said."""
    data = LINES["dnsmasq"].format(n=3, host="dns.google", path="").encode()
    ids, _, coverage = found(data, "dnsmasq", thorough=False)
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
