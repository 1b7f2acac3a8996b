"""The report: its answer in words, what it admits, and that nothing hostile gets out of it."""

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.activity.records import Finding, Origin, Session
from sentinel.coverage import Coverage
from sentinel.investigate import report
from sentinel.investigate.result import Result
from sentinel.observation import Observation
from sentinel.policy.file import PolicyFile
from sentinel.policy.policy import Policy
from sentinel.terms import Basis, Severity, Stage, Verdict

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
READ = Coverage("access.log", "squid-native", 1.0, 900, 12, 12, 0, False, START, START + timedelta(hours=1))
SESSION = Session(
    id="s1", service="clearview-ai", service_name="Clearview AI", category="face-search", client="10.20.3.4", user="ebert",
    device="pc-0815.corp.example", network="Detective Bureau", started=START, ended=START + timedelta(minutes=9),
    stage=Stage.SEARCH, basis=Basis.OBSERVED, severity=Severity.HIGH, verdict=Verdict.UNSANCTIONED,
    reason="no policy allows it; a request was recorded", searches=3, findings=1, names=("app.clearview.ai",), users=("ebert",),
)  # fmt: skip
FINDING = Finding(
    id="f1",
    observation=Observation(
        time=START, kind="http_request", name="app.clearview.ai", url="https://app.clearview.ai/search?q=1", method="POST"
    ),
    service="clearview-ai", category="face-search", indicator="host app.clearview.ai", stage=Stage.SEARCH, basis=Basis.OBSERVED,
    name="app.clearview.ai", origin=Origin(path="access.log", offset=41), raw=b"raw", sha256="9f86d081884c7d65" * 4,
    parser="squid-native/1", ruleset="rules", arrived=START,
)  # fmt: skip


def result(sessions=(), findings=(), coverage=(READ,)):
    belongs = {finding.id: sessions[0].id for finding in findings}
    return Result("rulesdigest0", sessions, findings, belongs, coverage)


def page(*args, title="March", policy=None, **kwargs):
    return report.html(result(*args, **kwargs), title=title, policy=policy or Policy(), version="1.2.3", generated=START)


class Page(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and its text."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = Counter(), [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in ("meta", "br", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "elements are nested"

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def words(*args, **kwargs):
    return Page(page(*args, **kwargs)).words


def test_the_page_begins_with_the_answer_in_words():
    """The oversight board reads the first paragraph; it has to hold who, how often and how many, no more than is proven."""
    lookup = replace(SESSION, id="s2", stage=Stage.LOOKUP, searches=0, client="10.20.3.5", user=None, users=())
    said = words([SESSION, lookup], [FINDING])
    assert (
        "2 clients turned to 1 face-search service without sanction in 2 sessions : 1 reached a service, 1 is a look-up only"
        in said
    )
    assert "At least 3 searches were run." in said
    assert "The records name 1 person." in said
    order = [
        said.index(h)
        for h in ("The answer", "How sure this is", "What could not be seen", "Sessions and their", "What was read")
    ]
    assert order == sorted(order)


def test_sanctioned_use_is_told_apart_and_counts_for_nobody():
    """Allowed work must not swell the number that makes the news."""
    allowed = replace(SESSION, id="s2", verdict=Verdict.SANCTIONED, client="10.20.3.9", searches=40)
    said = words([SESSION, allowed])
    assert "1 client turned to" in said
    assert "At least 3 searches" in said
    assert "1 session was sanctioned or excepted by policy, with at least 40 searches" in said


def test_refused_accesses_are_attempts():
    """A proxy that blocked everything shows that somebody tried, not that somebody searched."""
    said = words([replace(SESSION, attempts=1, stage=Stage.CONTACT, searches=0)])
    assert "1 was refused" in said
    assert "reached a service" not in said
    assert "No record proves a search" in said


def test_nothing_found_in_all_that_was_read_is_said_with_its_bounds():
    """Nothing found is an answer only as far as the records go."""
    said = words()
    assert "No unsanctioned use was found in what was read, and everything was read and understood." in said
    assert "1 input was read to the end, and every record was understood." in said


@pytest.mark.parametrize(
    ("coverage", "admits"),
    [
        (replace(READ, complete=False), "1 input was not read to the end."),
        (replace(READ, format=None), "The format of 1 input was not understood."),
        (replace(READ, unparsed=3), "3 of 27 records tried could not be parsed."),
    ],
)
def test_nothing_found_in_what_was_not_read_is_never_a_clean_bill(coverage, admits):
    """Confidently blind is worse than not having looked."""
    said = words(coverage=[READ, coverage])
    assert "but not everything could be read" in said
    assert admits in said
    assert "everything was read and understood" not in said


def test_no_inputs_say_nothing_about_anybody():
    """A glob that matched no file must not look like innocence."""
    said = words(coverage=[])
    assert "Nothing was read." in said
    assert "everything was read" not in said


def test_ways_around_the_records_are_counted_over_all_inputs():
    """What went through a relay or encrypted DNS is invisible; the reader has to know how much of it there was."""
    said = words(coverage=[replace(READ, unreadable=Counter(doh=40, relay=2)), replace(READ, unreadable=Counter(doh=1, odd=3))])
    assert "41 records show DNS over HTTPS." in said
    assert "2 records show a private relay." in said
    assert "another way around (odd)" in said
    assert "No way around the records was seen" not in said


def test_a_session_shows_its_reason_identity_and_where_its_record_lies():
    """Each line of the report can be checked against the bytes it rests on."""
    said = words([replace(SESSION, identity="cannot say: several claims")], [FINDING])
    for part in (
        "No policy allows it; a request was recorded.",
        "Who had the address: cannot say: several claims",
        "offset 41",
        "9f86d081884c7d65…",
    ):
        assert part in said
    packet = replace(FINDING, origin=Origin(path="gw.pcap", frame=7))
    assert "gw.pcap, frame 7" in words([SESSION], [packet])


def test_the_records_that_prove_most_are_shown_and_the_others_counted():
    """Four hundred look-ups must not bury the one search."""
    lookups = [replace(FINDING, id=f"l{n}", stage=Stage.LOOKUP, origin=Origin(path="dns.log", offset=n)) for n in range(50)]
    said = words([replace(SESSION, findings=51)], [*lookups, FINDING])
    assert "access.log, offset 41" in said
    assert f"and {51 - report.RECORDS_SHOWN} records more" in said


def test_inputs_that_were_not_understood_come_first():
    """What is amiss stands at the top of the table, not below a thousand good files."""
    said = words(coverage=[READ, replace(READ, path="zzz.bin", format=None)])
    assert said.index("zzz.bin") < said.index("access.log")


def test_host_names_and_urls_are_no_links_wherever_they_stand():
    """A preview of the page must not cause the look-up that it reports; paths and titles hold names as well."""
    source = page(
        [replace(SESSION, service_name="FaceCheck.ID", identity="see https://other.example/x")],
        [replace(FINDING, origin=Origin(path="/cases/www.CLEARVIEW.ai/access.log", offset=1))],
        title="clearview.ai in March",
    )
    for plain in ("clearview.ai", "facecheck.id", "other.example", "corp.example", "http:", "https:"):
        assert plain not in source.lower()
    assert "hxxps://app.clearview[.]ai/search?q=1" in source
    assert "/access.log" in source, "other names stay as they are: a path has to be found again"


def test_the_page_is_whole_by_itself_and_fit_for_screen_readers():
    """It is mailed, archived and read without a network; charts and tables carry their text."""
    source = page([SESSION], [FINDING])
    seen = Page(source)
    assert not seen.open
    assert not seen.tags.keys() & {"script", "link", "img", "iframe", "a", "object", "base", "form"}
    assert not {"href", "src", "xlink:href"} & {name for name, _value in seen.attributes}
    assert not re.search(r"url\(|@import", source)
    assert ("lang", "en") in seen.attributes
    assert seen.tags["svg"] == seen.tags["desc"] == seen.tags["figcaption"] == 4
    assert seen.tags["table"] == seen.tags["caption"] == 3
    ids = [value for name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    told = [one for name, value in seen.attributes if name == "aria-labelledby" for one in value.split()]
    assert set(told) <= set(ids)


def test_the_policy_is_told():
    """Sanctioned is what this policy says; a reader must be able to see which."""
    policy = PolicyFile.model_validate(
        {
            "networks": [{"name": "Bureau", "cidr": ["10.20.0.0/16"]}],
            "sanctioned": [{"service": "betaface", "networks": ["Bureau"]}],
        }
    ).made(UTC)
    assert "Policy sanctions: betaface from Bureau." in words(policy=policy)
    assert "Bureau (10.20.0.0/16)." in words(policy=policy)


def test_template_syntax_in_the_data_is_not_run():
    """A host name is data, whatever language it is written in."""
    assert "{{ 7*7 }} {% raw %}" in words([replace(SESSION, user="{{ 7*7 }} {% raw %}")])


@cache
def ordinary_elements():
    """The elements of a page that nobody tampered with."""
    amiss = replace(READ, notes=["x"], examples=["x"], complete=False)
    return Page(page([replace(SESSION, identity="x")], [FINDING], [amiss])).tags.keys()


hostile = st.text(max_size=60) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=y>',
        "</style><script",
        "a\x00\x1b[2J\u202eb",
        "\udcff",
        "HTTP://clearview.ai",
    ]
)


@pytest.mark.integration
@settings(max_examples=40, deadline=None)
@given(st.lists(hostile, min_size=8, max_size=8), st.sampled_from(["app.clearview.ai", "ai.ai.ai", "x<b>.clearview.ai"]))
def test_what_strangers_wrote_is_text_and_nothing_else(texts, name):
    """Host names, users, agents and paths are the clients' to choose; the page is opened by those who judge them."""
    user, device, path, note, reason, method, url, title = texts
    session = replace(
        SESSION, user=user, users=(user,), device=device, reason=reason, network=note, names=(name,), service_name=title,
        identity=reason,
    )  # fmt: skip
    seen = replace(FINDING.observation, name=name, method=method, url=url)
    finding = replace(FINDING, observation=seen, name=name, origin=Origin(path=path, offset=1), indicator=f"host {name}")
    odd = replace(READ, path=path, notes=[note], examples=[url], complete=False)
    source = page([session], [finding], [odd], title=title)
    got = Page(source)
    assert got.tags.keys() <= ordinary_elements()
    assert not got.open
    assert "<script" not in source.lower()
    watched = ".".join(name.split(".")[-2:])
    assert watched not in source.lower()
    assert all(character.isprintable() or character == "\n" for character in source)
    source.encode("utf-8")
