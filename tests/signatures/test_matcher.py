"""The matcher: what an observation matches, what it proves, and that the scanner misses nothing of it."""

import json
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.observation import Observation
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.matcher import Matcher
from sentinel.signatures.reading import load_catalog
from sentinel.signatures.service import Service
from sentinel.terms import Basis, Stage

CATALOG = load_catalog([builtin_rules()])
MATCHER = Matcher(CATALOG)
TIME = datetime(2026, 1, 1, tzinfo=UTC)


def match(kind="dns_query", **seen):
    return {m.service.id: m for m in MATCHER.match(Observation(time=TIME, kind=kind, **seen))}


@pytest.mark.parametrize(
    "name",
    [
        "notclearview.ai",
        "clearview.ai.example.com",
        "clearview.airlines.example",
        "clearview",
        "ai",
        "",
        "clearvıew.ai",  # a dotless i
        "pimeyes.com.example.net",
        "xpimeyes.com",
        "faceche\u212a.id",  # the Kelvin sign, which str.lower() makes a k
        "facecheck.id\u3002example",
        "jsc.pimeyes.community",
        "huggingface.co",
        "t.me",
    ],
)
def test_a_name_that_only_looks_alike_matches_nothing(name):
    """A false accusation harms a person: names match on label boundaries only."""
    assert match(name=name) == {}


@pytest.mark.parametrize("name", ["clearview.ai", "APP.Clearview.AI.", "a.b.c.clearview.ai"])
def test_a_name_matches_itself_and_all_below_in_any_case(name):
    """Resolvers randomise letter case (0x20), and some logs keep the final dot."""
    assert set(match(name=name)) == {"clearview-ai"}


@pytest.mark.parametrize(
    ("seen", "stage", "basis"),
    [
        ({"kind": "dns_query"}, Stage.LOOKUP, Basis.OBSERVED),
        ({"kind": "process_dns"}, Stage.LOOKUP, Basis.OBSERVED),
        ({"kind": "tls_client_hello"}, Stage.LOGIN, Basis.INFERRED),
        ({"kind": "proxy_connect"}, Stage.LOGIN, Basis.INFERRED),
        ({"kind": "proxy_connect", "action": "blocked"}, Stage.LOOKUP, Basis.OBSERVED),
        ({"kind": "proxy_connect", "action": "challenged"}, Stage.LOOKUP, Basis.OBSERVED),
        ({"kind": "http_request", "method": "POST", "path": "/api/v1/searches"}, Stage.SEARCH, Basis.OBSERVED),
        ({"kind": "http_request", "method": "GET", "path": "/api/v1/searches"}, Stage.LOGIN, Basis.INFERRED),
        ({"kind": "http_request", "method": "POST", "path": "/api/v1/se%61rches"}, Stage.SEARCH, Basis.OBSERVED),
        ({"kind": "http_request", "method": "POST", "path": "/x/api/v1/searches"}, Stage.LOGIN, Basis.INFERRED),
    ],
)
def test_what_an_observation_proves(seen, stage, basis):
    """A query is never a visit, a refused access never more than an attempt, a search only its own method and path."""
    found = match(name="app.clearview.ai", **seen)["clearview-ai"]
    assert (found.stage, found.basis) == (stage, basis)


def test_an_answer_of_the_service_that_refuses_proves_no_search():
    """HTTP 401 to a POST: somebody asked, and was not let in."""
    found = match("http_request", name="facecheck.id", method="POST", path="/api/search", status=401)
    assert found["facecheck-id"].stage is Stage.VISIT


@pytest.mark.parametrize(("host", "path"), [("app.clearview.ai", "/api/v1/searches"), ("jsc7.pimeyes.com", "/get_results")])
def test_a_refusal_outweighs_what_the_host_alone_suggests(host, path):
    """The guess made from a host name gives way to a record that says how the request ended."""
    (found,) = match("http_request", name=host, method="POST", path=path, status=401).values()
    assert (found.stage, found.basis) == (Stage.VISIT, Basis.OBSERVED)


def test_a_request_to_any_server_of_a_pattern_proves_its_stage():
    """PimEyes numbers its result servers; the two that were seen are not all."""
    found = match("http_request", name="jsc7.pimeyes.com", method="POST", path="/get_results")["pimeyes"]
    assert (found.stage, found.basis) == (Stage.RESULT, Basis.OBSERVED)


def test_the_host_of_the_url_counts_where_the_record_names_no_other():
    """Some proxies write the host in the URL alone."""
    seen = {"url": "https://PimEyes.com:443/api/search/new", "path": "/api/search/new", "method": "POST"}
    assert match("http_request", **seen)["pimeyes"].counts_search
    assert match("http_request", url="http://[", path="/", method="GET") == {}


def test_a_mail_that_the_gateway_kept_was_read_by_nobody():
    """An invitation that never arrived is no log-in."""
    found = match("mail", name="clearview.ai", action="blocked")["clearview-ai"]
    assert (found.stage, found.reached) == (Stage.LOOKUP, False)


@pytest.mark.parametrize("path", ["/api/v1/searches\udc80", "/api/v1/\ud800", "\x00", "/api/v1/searches\n/x"])
def test_any_path_is_matched_without_a_crash(path):
    """Log bytes that are no UTF-8 reach the matcher as surrogates."""
    found = match("http_request", name="app.clearview.ai", method="POST", path=path)["clearview-ai"]
    assert found.stage is Stage.LOGIN


@pytest.mark.parametrize(
    "seen",
    [
        {"kind": "proxy_connect", "status": 503},
        {"kind": "proxy_connect", "status": 503, "action": "failed"},
        {"kind": "http_request", "method": "POST", "path": "/api/v1/searches", "action": "failed", "status": 400},
    ],
)
def test_what_never_got_to_the_server_is_an_attempt(seen):
    """A tunnel that was not opened carried nothing: it is no log-in."""
    found = match(name="app.clearview.ai", **seen)["clearview-ai"]
    assert (found.stage, found.reached, found.counts_search) == (Stage.LOOKUP, False, False)


def test_a_request_without_an_answer_proves_no_search():
    """Squid writes status 000 for a request that was broken off: "at least one search" needs more."""
    found = match("http_request", name="app.clearview.ai", method="POST", path="/api/v1/searches", status=0)["clearview-ai"]
    assert (found.stage, found.counts_search) == (Stage.VISIT, False)


def test_a_refused_access_says_that_nothing_was_reached():
    """It is counted as an attempt, apart from visits."""
    assert match("proxy_connect", name="pimeyes.com", action="blocked")["pimeyes"].reached is False


def test_further_names_of_an_observation_match_too():
    """A CNAME, or an SNI that differs from the Host header, is evidence as well."""
    assert set(match(name="cdn.example.net", names=("pimeyes.com",))) == {"pimeyes"}


def test_the_path_of_a_news_article_matches_nothing():
    """Writing about a service is not using it."""
    assert match("http_request", name="news.example", path="/clearview.ai", query="q=pimeyes.com", method="GET") == {}


def made(*indicators):
    described = {"id": "made", "name": "Made", "category": "face-search", "severity": "high", "references": []}
    return Matcher(Catalog.of([Service.of({**described, "indicators": list(indicators)})]))


def request(url, method="GET"):
    parts = urlsplit(url)
    return Observation(
        time=TIME, kind="http_request", name=parts.hostname, url=url, path=parts.path, query=parts.query or None, method=method
    )


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("faces.*.cloud.example", "faces.us-east-1.cloud.example", True),
        ("faces.*.cloud.example", "FACES.eu.cloud.example.", True),
        ("faces.*.cloud.example", "faces.cloud.example", False),
        ("faces.*.cloud.example", "faces.a.b.cloud.example", False),
        ("faces.*.cloud.example", "x.faces.us.cloud.example", False),
        ("faces.*.cloud.example", "myfaces.us.cloud.example", False),
        ("faces.*.cloud.example", "faces.us.cloud.example.org", False),
        ("r*.*.cloud.example", "r1.eu.cloud.example", True),
        ("r*.*.cloud.example", "r.eu.cloud.example", False),
    ],
)
def test_a_star_stands_for_a_part_of_one_label(pattern, name, fits):
    """A cloud names its regions in the middle of a host: no other depth and no other first label is meant."""
    matcher = made({"host_pattern": pattern})
    assert bool(matcher.match(Observation(time=TIME, kind="dns_query", name=name))) is fits
    if fits:
        counted = "".join(f"({len(label)}){label}" for label in name.rstrip(".").split("."))
        for spelling, written in (("plain", name), ("json", name), ("labels", counted)):
            assert matcher.scan(memoryview(written.encode()), spelling), spelling


SHARED = {"host": "www.search.example", "path": "/images/search", "shared": True}


@pytest.mark.parametrize(
    ("query", "url", "fits"),
    [
        ("iss=sbiupload", "https://www.search.example/images/search?view=x&iss=sbiupload", True),
        ("iss=sbiupload", "https://www.search.example/images/search?iss=sbiuploads", False),
        ("iss=sbiupload", "https://www.search.example/images/search?q=iss=sbiupload", False),
        ("cbir_id=", "https://www.search.example/images/search?cbir_id=1%2Fabc", True),
        ("cbir_id=", "https://www.search.example/images/search?cbir_id=", False),
        (["udm=44", "vsrid="], "https://www.search.example/images/search?vsrid=1&udm=44", True),
        (["udm=44", "vsrid="], "https://www.search.example/images/search?udm=44", False),
        ("udm=44", "https://search.example/images/search?udm=44", False),
    ],
)
def test_a_query_is_matched_by_whole_parameters(query, url, fits):
    """The words of somebody's search stand in the same query: they must not pass for a parameter."""
    matcher = made({"url": {**SHARED, "query": query}, "stage": "upload"})
    assert bool(matcher.match(request(url))) is fits
    if fits:
        assert matcher.scan(memoryview(url.encode()), "plain")
        assert matcher.scan(memoryview(url.replace("=", "\\u003d").encode()), "json")
        assert matcher.scan(memoryview(url.replace("=", "\\x3d").encode()), "zeek")


def test_a_shared_host_makes_no_record_a_candidate():
    """A search engine is in every thirtieth line of a proxy's log: its name must not be what logs are searched for."""
    by_regex = {"host": SHARED["host"], "path_regex": "^/visual-faces/v[0-9]+$", "shared": True}
    matcher = made({"url": {**SHARED, "query": "iss=sbiupload"}}, {"url": by_regex})
    assert matcher.scan(memoryview(b"GET https://www.search.example/images/search?q=cats"), "plain") == []
    assert matcher.scan(memoryview(b"GET https://www.search.example/visual-faces/v3"), "plain")


@pytest.mark.parametrize("url", ["https://a.example/api/v1/recognise/faces", "http://192.0.2.7:8000/api/v1/recognise/faces"])
def test_a_path_may_count_whatever_the_host(url):
    """A server that people set up themselves has no name that could be known; its software's path is its sign."""
    matcher = made({"url": {"host_pattern": "*", "method": "POST", "path": "/api/v1/recognise/faces", "shared": True}})
    assert matcher.match(request(url, "POST"))
    assert matcher.match(request(url)) == []
    assert matcher.match(request(url.replace("/api", "/x/api"), "POST")) == []
    assert matcher.scan(memoryview(url.encode()), "plain")


def test_tors_own_names_are_matched_below_their_one_label():
    """Such a query leaks when something bypasses Tor's own resolving; it never names anybody else's host."""
    matcher = made({"domain": "onion"})
    for name, fits in (("abc.onion", True), ("theonion.com", False), ("abc.onions", False), ("onion.example", False)):
        assert bool(matcher.match(Observation(time=TIME, kind="dns_query", name=name))) is fits
    assert matcher.scan(memoryview(b"abc.onion"), "plain")
    assert matcher.scan(memoryview(b"(3)abc(5)onion(0)"), "labels")


def test_what_blinds_us_is_its_own_category():
    """It is counted in the coverage and accuses nobody."""
    assert match("tls_client_hello", name="cloudflare-ech.com")["cloudflare-ech"].service.blinds == "ech"


# One number is drawn a hundred times as fast as so many booleans.
BITS = st.integers(0, 2**120 - 1).map(lambda number: [bool(number >> bit & 1) for bit in range(120)])
HOSTS = sorted({i.domain or i.host for s in CATALOG.services.values() for i in s.indicators if i.domain or i.host})
names = st.builds(
    lambda prefix, host, suffix, upper: "".join(
        c.upper() if u else c for c, u in zip(prefix + host + suffix, upper, strict=False)
    ),
    st.sampled_from(["", "www.", "x", "a.b."]),
    st.sampled_from(HOSTS),
    st.sampled_from(["", ".", ".example", "x"]),
    BITS,
)


def escaped(text, marks, template):
    return "".join(template.format(ord(c)) if mark else c for c, mark in zip(text, marks, strict=False))


@pytest.mark.integration
@settings(max_examples=300)
@given(
    name=names,
    marks=BITS,
    before=st.binary(max_size=20),
    after=st.binary(max_size=20),
)
def test_the_scanner_finds_every_record_that_matches(name, marks, before, after):
    """What the scanner passes over is never parsed: it must find a superset, in every spelling."""
    spelt = {
        "plain": name.encode(),
        "json": escaped(name, marks, "\\u{:04x}").encode(),
        "zeek": escaped(name, marks, "\\x{:02x}").encode(),
    }
    assert json.loads(f'"{spelt["json"].decode()}"') == name
    if match(name=name):
        for spelling, written in spelt.items():
            assert MATCHER.scan(memoryview(before + written + after), spelling), spelling


def test_header_records_are_found_at_the_beginning_of_a_record_only():
    """A new header changes what the columns mean; the same bytes inside a record do not."""
    data = b"#fields\ta\nx #fields\tb\n#fields\tc\n"
    assert MATCHER.scan(memoryview(data), "plain", (b"#fields",)) == [7, data.rindex(b"#fields") + 7]


def test_an_empty_catalog_scans():
    """A test bench with no rules still has to run."""
    empty = Matcher(type(CATALOG)({}))
    assert empty.scan(memoryview(b"clearview.ai\n"), "plain") == []
