"""Replay: one answer over everything that was asked for, and an honest account of what was read."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from sentinel.extract import Ruling
from sentinel.investigate.replay import Inquiry, replay
from sentinel.investigate.result import as_csv, write_json
from sentinel.policy.policy import Policy
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import load_catalog
from sentinel.store.nothing import NoStore
from sentinel.store.store import Store

DEMO = Path(__file__).parents[2] / "sentinel" / "demo" / "data"
RULING = Ruling.of(load_catalog([builtin_rules()]), Policy())


def ask(*paths, kind="logs", store=None, ruling=RULING, **options):
    options.setdefault("zone", "UTC")
    return replay(Inquiry(kind=kind, paths=[str(p) for p in paths], ruling=ruling, store=store or NoStore(), **options))


def told(result):
    """What a session says, apart from its id and from how the input lay on disk."""
    return [
        (s.service, s.client, s.users, s.stage, s.basis, s.started, s.ended, s.searches, s.findings, s.names)
        for s in result.sessions
    ]


def test_the_demo_hour_is_told_rightly():
    """Who searched, who looked, who was refused; a look-alike and a news article accuse nobody."""
    sessions = {(s.client, s.service): s for s in ask(DEMO / "access.log", DEMO / "dnsmasq.log").sessions}
    searched = sessions["10.20.3.4", "clearview-ai"]
    assert (searched.user, searched.stage.word, searched.searches) == ("jdoe", "result", 7)
    assert sessions["10.20.4.7", "pimeyes"].stage.word == "lookup"
    assert sessions["10.20.4.40", "lenso-ai"].attempts == 1
    assert {client for client, _ in sessions} == {"10.20.3.4", "10.20.4.7", "10.20.5.11", "10.20.4.40"}


def test_a_capture_gives_the_hello_that_was_split():
    """Every browser's hello is split over two segments today. The host suggests results, a hello alone proves a contact."""
    (session,) = ask(DEMO / "gateway.pcap", kind="pcap").sessions
    known = (session.service, session.client, session.stage.word, session.basis.value)
    assert known == ("pimeyes", "10.20.7.8", "contact", "observed")
    assert session.names == ("jsc5.pimeyes.com", "pimeyes.com")


def test_archives_and_plain_files_give_the_same(tmp_path):
    """An investigator is handed whatever rotation left."""
    plain = tmp_path / "plain" / "access.log"
    plain.parent.mkdir()
    plain.write_bytes((DEMO / "access.log").read_bytes())
    (tmp_path / "access.log.gz").write_bytes(gzip.compress(plain.read_bytes()))
    with tarfile.open(tmp_path / "logs.tar.xz", "w:xz") as tar:
        tar.add(plain, "squid/access.log")
    results = [ask(path) for path in (plain, tmp_path / "access.log.gz", tmp_path / "logs.tar.xz")]
    assert told(results[0]) == told(results[1]) == told(results[2])
    assert results[2].findings[0].origin.path.endswith("logs.tar.xz!squid/access.log")


def test_the_same_log_twice_counts_once(tmp_path):
    """The rotated and the compressed copy of a log are one log; counting both doubles somebody's searches."""
    data = (DEMO / "access.log").read_bytes()
    (tmp_path / "a.log").write_bytes(data)
    (tmp_path / "a.log.1.gz").write_bytes(gzip.compress(data))
    store = Store.memory()
    try:
        assert told(ask(tmp_path, store=store)) == told(ask(DEMO / "access.log"))
    finally:
        store.close()


def test_without_a_case_the_same_log_twice_counts_once_too(tmp_path):
    """What is kept must not change what is counted."""
    data = (DEMO / "access.log").read_bytes()
    (tmp_path / "a.log").write_bytes(data)
    (tmp_path / "b.log").write_bytes(data)
    assert told(ask(tmp_path)) == told(ask(DEMO / "access.log"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_order_and_the_number_of_processes_change_nothing(tmp_path, jobs):
    """A log cut into pieces whose names do not sort by time is the same log."""
    lines = (DEMO / "access.log").read_bytes().splitlines(keepends=True)
    for n in range(4):
        (tmp_path / f"{3 - n}.log").write_bytes(b"".join(lines[n * 64 : (n + 1) * 64]))
    assert told(ask(tmp_path, jobs=jobs)) == told(ask(DEMO / "access.log"))


def test_a_log_over_two_new_years_eves_is_dated_rightly(tmp_path):
    """A log without years: each access has to get its own, also when only candidates are parsed."""
    line = "{:%b %e %H:%M:%S} dnsmasq[1]: query[A] {} from 10.0.0.9\n"
    start = datetime(2023, 11, 1, 12, tzinfo=UTC)
    hits = {n: start + timedelta(hours=n) for n in (100, 1440, 5000, 9000, 12000)}
    log = tmp_path / "dnsmasq.log"
    log.write_text(
        "".join(line.format(start + timedelta(hours=n), "pimeyes.com" if n in hits else "x.example") for n in range(12500))
    )
    last = (start + timedelta(hours=12499)).timestamp()
    os.utime(log, (last, last))
    assert [f.observation.time for f in ask(log).findings] == sorted(hits.values())


def test_a_case_grows_with_what_is_read_into_it(tmp_path):
    """The resolver's log comes a week after the proxy's: the case answers for both, and counts nothing twice."""
    store = Store.open(f"sqlite:///{tmp_path}/case.db")
    try:
        ask(DEMO / "access.log", store=store, case=True)
        ask(DEMO / "access.log", store=store, case=True)
        grown = ask(DEMO / "dnsmasq.log", store=store, case=True)
    finally:
        store.close()
    whole = ask(DEMO / "access.log", DEMO / "dnsmasq.log")
    assert told(grown) == told(whole)
    assert [f.id for f in grown.findings] == [f.id for f in whole.findings]


@pytest.mark.integration
def test_several_requests_in_one_packet_are_all_found(tmp_path):
    """A pipelined search must not be lost to the page that was asked for after it."""
    search = b"POST /api/search/new HTTP/1.1\r\nHost: pimeyes.com\r\nContent-Length: 0\r\n\r\n"
    page = b"GET /en HTTP/1.1\r\nHost: pimeyes.com\r\n\r\n"
    ends = Ether() / IP(src="10.0.0.5", dst="192.0.2.9")
    packets = [
        ends / TCP(sport=4000, dport=80, flags="S", seq=1),
        ends / TCP(sport=4000, dport=80, flags="PA", seq=2) / (search + page),
    ]
    wrpcap(str(tmp_path / "a.pcap"), packets)
    result = ask(tmp_path / "a.pcap", kind="pcap")
    assert [f.stage.word for f in result.findings if f.observation.kind == "http_request"] == ["search", "visit"]
    assert result.sessions[0].searches == 1


def test_what_cannot_be_read_is_said(tmp_path):
    """A pipe, a folder without permission, a file that is no log: none of them is clean."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text.log").write_text("lorem ipsum\n")
    result = ask(tmp_path)
    assert not result.complete
    assert [c.complete for c in result.coverage] == [False, False]


def test_no_input_is_no_answer(tmp_path):
    """An empty folder says nothing about anybody."""
    assert not ask(tmp_path).complete


def test_thorough_finds_the_same_and_says_that_nothing_was_sampled():
    """The short way must miss nothing, and say that it is one."""
    quick, thorough = ask(DEMO / "access.log"), ask(DEMO / "access.log", thorough=True)
    assert told(quick) == told(thorough)
    assert (quick.coverage[0].sampled, thorough.coverage[0].sampled) == (True, False)
    assert thorough.coverage[0].parsed == thorough.coverage[0].records == 256


def test_since_and_until_bound_the_findings():
    """An inquiry has a period; from is inclusive, until exclusive."""
    at = datetime(2026, 11, 20, 14, 12, tzinfo=UTC)
    result = ask(DEMO / "access.log", since=at, until=datetime(2026, 11, 20, 14, 18, 30, tzinfo=UTC))
    assert result.findings
    assert all(at <= f.observation.time < datetime(2026, 11, 20, 14, 18, 30, tzinfo=UTC) for f in result.findings)


def test_a_truncated_archive_is_read_as_far_as_it_goes_and_said_to_be_incomplete(tmp_path):
    """Half a log is evidence too, and silence about the other half is not."""
    whole = gzip.compress((DEMO / "access.log").read_bytes())
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) * 2 // 3])
    result = ask(tmp_path / "cut.gz")
    assert result.findings
    assert not result.complete
    assert any("truncated" in note or "damaged" in note for note in result.coverage[0].notes)


def test_the_json_has_the_promised_shape(tmp_path):
    """Other tools read it: keys are a promise."""
    written = io.StringIO()
    write_json(ask(DEMO / "access.log", store=NoStore()), written.write)
    doc = json.loads(written.getvalue())
    assert list(doc) == ["ruleset", "sessions", "findings", "coverage"]
    session = doc["sessions"][0]
    for (
        key
    ) in "id service client network started ended stage basis verdict searches findings names bytes_up bytes_down".split():  # noqa: SIM905
        assert key in session
    assert set(session["client"]) == {"ip", "user", "device"}
    assert set(session["searches"]) == {"at_least", "estimate", "low", "high"}
    finding = doc["findings"][0]
    for key in "id time kind service indicator stage client server name url method action source sha256".split():  # noqa: SIM905
        assert key in finding
    assert set(finding["source"]) == {"path", "offset"}
    ids = {f["id"] for f in doc["findings"]}
    assert {i for s in doc["sessions"] for i in s["findings"]} == ids
    entry = doc["coverage"]["inputs"][0]
    for key in "path sha256 format bytes records parsed unparsed sampled first last complete notes".split():  # noqa: SIM905
        assert key in entry
    assert entry["sha256"] == hashlib.sha256((DEMO / "access.log").read_bytes()).hexdigest()
    assert set(doc["coverage"]["unreadable"]) >= {"ech", "doh", "dot", "relay", "vpn"}
    raw = (DEMO / "access.log").read_bytes()
    for f in doc["findings"]:
        line = raw[f["source"]["offset"] :].split(b"\n")[0]
        assert hashlib.sha256(line).hexdigest() == f["sha256"]


def test_a_cell_of_the_csv_is_never_a_formula_and_never_a_link():
    """A user name is the client's to choose, and a table is opened in a spreadsheet."""
    text = as_csv(ask(DEMO / "access.log"))
    assert "clearview[.]ai" in text
    assert "clearview.ai" not in text
