"""The built-in catalog: it loads, each rule proves itself, and no name of somebody else's matches any of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from urllib.parse import urlsplit

import pytest
import yaml

from sentinel.activity.records import Finding, Origin
from sentinel.activity.sessions import Sessions
from sentinel.extract import Extractor, Ruling
from sentinel.observation import Observation
from sentinel.policy.policy import Policy
from sentinel.signatures.file import Category
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.matcher import Matcher
from sentinel.signatures.reading import read_files
from sentinel.signatures.selftest import run_tests
from sentinel.sources.batch import Batch, Input
from sentinel.terms import Severity, Stage

RULES = read_files([builtin_rules()])
CATALOG = RULES.catalog
MATCHER = Matcher(CATALOG)
TIME = datetime(2026, 1, 1, tzinfo=UTC)
FILES = sorted(builtin_rules().rglob("*.yaml"))

OTHER_PEOPLES_NAMES = [
    "notclearview.ai",
    "clearview.ai.example.com",
    "clearview.airlines.example",
    "clearviewai.example.org",
    "my-pimeyes.example",
    "pimeyes.com.example.net",
    "facecheck.id.example.org",
    "clearviewfcu.org",
    "www.clearviewfcu.org",
    "www.pcu.clearviewfcu.org",
    "clearview-gc.com",
    "clearviewskins.com",
    "clearviewcapital.mom",
    "clearviewstudio.link",
    "clearviewing.tk",
    "wwv.clearvieweducations.com",
    "cvt-ic-us-adns-001.clearviewtechnology.net",
    "clearviewstats.com",
    "clearviewdownload.com",
    "api.clearviewcloud.lat",
    "clearview-ci.net",
    "clearview-cpa.net",
    "clearview-cpa.ca",
    "clearviewte.info",
    "onclearview.top",
    "surfface.net",
    "surfface.info",
    "surfface.co.cc",
    "face-search.net",
    "findface.bid",
    "vkfindface.ru",
    "lens.google.com",
    "precheck.ai",
    "whoostoo.net",
    "oostotsu.com",
    "psoostomtepi.net",
    "e-kairos.com",
    "patkairos.com",
    "www.toldoskairos.com.br",
    "financekairos.com",
    "luxandlace.com",
    "lacrisalide.net",
    "www.mobilacristian.onl",
    "fincalacristalina.co",
    "huggingface.co",
    "apify.com",
    "t.me",
    "rapidapi.com",
    "amazonaws.com",
    "api.apify.com",
    "telegram.me",
    "s3.us-east-1.amazonaws.com",
    "us-east-1.amazonaws.com",
    "cognitiveservices.azure.com",
    "res.cognitiveservices.azure.com",
    "westus.api.cognitive.microsoft.com",
    "learnfl.vigilantsolutions.com",
    "clearviewcloud.lat",
    "db.clearviewcloud.lat",
    "gate.clearviewcloud.lat",
    "srv.clearviewcloud.lat",
    "web.clearviewcloud.lat",
    "www.google.com",
    "www.bing.com",
    "yandex.com",
    "yandex.ru",
    "kagi.com",
    "hf.space",
    "news.example",
]

OTHER_PEOPLES_PAGES = [
    "https://gizmodo.com/we-found-clearview-ais-shady-face-recognition-app-1841961772",
    "https://www.buzzfeednews.com/article/briannasacks/lapd-banned-commercial-facial-recognition-clearview",
    "https://www.engadget.com/lapd-ban-third-party-facial-recognition-clearview-ai-112526446.html",
    "https://en.wikipedia.org/wiki/PimEyes",
    "https://en.wikipedia.org/wiki/Clearview_AI",
    "https://netzpolitik.org/2022/pimeyes-ceo-the-user-is-the-stalker-not-the-search-engine/",
    "https://github.com/addycb/Pimeyes-Free-POC",
    "https://pypi.org/project/faceseek/",
    "https://www.google.com/search?q=pimeyes.com+login",
    "https://www.bing.com/images/search?q=clearview.ai",
    "https://www.google.com/url?q=https://pimeyes.com/en",
    "https://yandex.com/images/search?text=cats",
    "https://tineye.com/",
    "https://lens.google.com/",
    "https://res.cognitiveservices.azure.com/vision/v3.2/analyze",
    "https://www.bing.com/images/search?q=iss%3Dsbiupload",
    "https://yandex.com/images/search?text=rpt%3Dimageview",
    "https://github.com/search?q=FindClones+findCloneable+FaceCheckin+surfaceTrace",
    "https://code.example/src/FindClones.java",
    "https://code.example/src/FaceCheckin.kt",
    "https://news.example/app.clearview.ai/api/v1/searches",
    "https://news.example/?u=https://pimeyes.com/api/upload/file",
]

OTHER_PEOPLES_MAILS = [
    "editor@news.example",
    "officer@department.example",
    "editor@clearview.airlines.example",
    "x@notpimeyes.com",
]
"""Senders: of a digest whose subject names Clearview, and of somebody's own request to privacy@clearview.ai."""

ONLY_VISITS = [
    "https://facecheck.id/en/topics/Online-Dating-Profiles",
    "https://pimeyes.com/en/blog/x",
    "https://www.facefinder.id/en/blog/x",
    "https://clearview.ai/privacy-policy",
    "https://privacycompliance.clearview.ai/",
    "https://findclone.ru/register?phone=7000",
]


def request(url, method="GET"):
    parts = urlsplit(url)
    return Observation(
        time=TIME, kind="http_request", name=parts.hostname, url=url, path=parts.path, query=parts.query or None, method=method
    )


KINDS = ["dns_query", "dns_answer", "tls_client_hello", "quic_client_hello", "proxy_connect", "mail"]


@pytest.mark.parametrize("name", OTHER_PEOPLES_NAMES)
def test_other_peoples_names_match_nothing(name):
    """An accountant, a credit union, a shared platform: whoever goes there has searched no face, whatever shows it."""
    seen = [Observation(time=TIME, kind=kind, name=spelt) for kind in KINDS for spelt in (name, name.upper() + ".")]
    assert [match for one in [*seen, request(f"https://{name}/")] for match in MATCHER.match(one)] == []


@pytest.mark.parametrize("sender", OTHER_PEOPLES_MAILS)
def test_other_peoples_mails_match_nothing(sender):
    """Words in a subject and the recipient of somebody's own request accuse nobody."""
    assert MATCHER.match(Observation(time=TIME, kind="mail", name=sender.rpartition("@")[2])) == []


@pytest.mark.parametrize("url", OTHER_PEOPLES_PAGES)
def test_pages_about_a_service_match_nothing(url):
    """Reading about face search, the ban itself included, is not using it."""
    assert MATCHER.match(request(url)) == []


@pytest.mark.parametrize("url", ONLY_VISITS)
def test_a_services_own_article_is_a_visit_and_never_a_search(url):
    """Search engines lead people to such articles, and an opt-out page to protect themselves."""
    assert [match.stage for match in MATCHER.match(request(url))] == [Stage.VISIT]


def test_look_alike_services_are_told_apart():
    """Three vendors with nearly one name: a finding names the right one."""
    found = {
        name: [match.service.id for match in MATCHER.match(Observation(time=TIME, kind="dns_query", name=name))]
        for name in ("facecheckapp.com", "facecheck.id", "lensapp.io", "lenso.ai")
    }
    assert found == {
        "facecheckapp.com": ["facecheckapp"],
        "facecheck.id": ["facecheck-id"],
        "lensapp.io": ["lens-app"],
        "lenso.ai": ["lenso-ai"],
    }


def test_every_case_of_every_rule_holds():
    """What `sentinel rules test` shows the user."""
    report = run_tests(RULES.files.values())
    assert report.failures == []
    assert len(RULES.files) >= 100
    assert report.cases >= 600
    assert report.negative * 3 >= report.cases


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_rule_lies_in_its_folder_and_brings_cases_of_both_kinds(path):
    """The file's name is the id, the folder the category; a rule that is not tried both ways is an opinion."""
    service = RULES.files[path.stem]
    assert service.category == path.parent.name
    assert service.references
    assert service.tests.no_match
    assert service.tests.match or not service.indicators


def test_unproven_names_are_no_rules():
    """Names that no source confirms would accuse people on a guess."""
    text = yaml.safe_dump(
        [yaml.safe_load(path.read_text())["indicators"] for path in FILES if "indicators:" in path.read_text()]
    )
    unproven = ("arrests.org", "facesaerch.com", "api.clearview.ai", "precheck.ai", "reversly.ai", "webberapp.shop")
    assert [name for name in unproven if name in text] == []


def test_services_of_all_five_kinds_are_there():
    """Police products and image search engines are looked for too, at their own weight."""
    assert {file.category for file in RULES.files.values()} == set(get_args(Category))


@pytest.mark.parametrize("service", RULES.files.values(), ids=lambda service: service.id)
def test_a_service_is_worth_no_more_than_is_known_of_it(service):
    """What hides traffic and what is sanctioned accuses nobody; a guessed name or an image search engine rings softly."""
    severity = Severity.of(service.severity)
    if service.category in ("sanctioned", "visibility"):
        assert severity is Severity.INFO
    if service.category == "reverse-image" or service.confidence == "inferred":
        assert severity <= Severity.LOW


@pytest.mark.parametrize("host", ["app.clearview.ai", "app.gov.clearview.ai"])
def test_the_search_that_clearview_keeps_no_history_of_is_critical(host):
    """Chosen by whoever does not want it found again, it must stand out from a search by habit."""
    facts = Ruling.of(CATALOG, Policy()).facts["clearview-ai"]
    (hidden,) = MATCHER.match(request(f"https://{host}/api/v1/secure_searches", "POST"))
    (plain,) = MATCHER.match(request(f"https://{host}/api/v1/searches", "POST"))
    assert (hidden.counts_search, hidden.indicator in facts.secret) == (True, True)
    assert (plain.counts_search, plain.indicator in facts.secret) == (True, False)


def test_a_search_that_is_polled_for_its_result_counts_once():
    """FaceCheck.ID is asked every second until it is done: two hundred requests are no two hundred searches."""
    ruling = Ruling.of(CATALOG, Policy())
    sessions = Sessions(ruling.facts, ruling.policy)
    (match,) = MATCHER.match(request("https://facecheck.id/api/search", "POST"))
    assert match.stage is Stage.SEARCH
    findings = []
    for second in range(200):
        seen = replace(request("https://facecheck.id/api/search", "POST"), time=TIME + timedelta(seconds=second))
        findings.append(
            Finding(
                id=str(second), observation=seen, service="facecheck-id", category="face-search", indicator=match.indicator,
                stage=match.stage, basis=match.basis, name=match.name, origin=Origin(path="log"), raw=b"", sha256="",
                parser="", ruleset="", arrived=TIME,
            )
        )  # fmt: skip
    sessions.fold([(finding, match.counts_search, match.counts_upload) for finding in findings], TIME)
    assert [(session.searches, session.findings) for session in sessions.all()] == [(1, 200)]


EVERYDAY = [
    "https://www.google.com/search?q=cats&udm=2&sca_esv=0f",
    "https://www.google.com/imgres?imgurl=https://img.example/a.jpg",
    "https://www.google.com:443",
    "https://www.bing.com/images/search?q=cats&form=HDRSC2",
    "https://www.bing.com/th?id=OIP.x",
    "https://yandex.com/images/search?text=cats",
    "https://s3.us-east-1.amazonaws.com/bucket/upload",
    "https://dynamodb.us-west-2.amazonaws.com/",
    "https://fonts.googleapis.com/css",
    "https://speech.cognitiveservices.azure.com/speech/v3",
    "https://huggingface.co/models",
    "https://github.com/login",
    "https://t.me/s/news",
    "https://apify.com/store",
    "https://www.nec.com/en/global/solutions/5g/index.html",
    "https://news.example/recognition/upload/images/search",
]


@pytest.mark.parametrize("spelling", ["plain", "json", "zeek", "labels"])
def test_everyday_traffic_on_shared_hosts_is_not_even_looked_at(spelling):
    """A search engine or a cloud is in very many records: were its name a needle, most of a log would be parsed."""
    for url in EVERYDAY:
        written = url.replace("/", "\\/") if spelling == "json" else url
        assert MATCHER.scan(memoryview(f'10.0.0.1 GET "{written}" 200'.encode()), spelling) == [], url


ESCAPED = {
    "plain": [lambda text: text, str.upper],
    "json": [
        lambda text: text.replace("/", "\\/").replace("=", "\\u003d"),
        lambda text: text.replace("/", "\\\\\\/").replace("=", "\\\\u003D"),
        lambda text: text.replace("/", "\\/", 3),
    ],
    "zeek": [lambda text: text.replace("=", "\\x3d")],
    "percent": [lambda text: text.replace("=", "%3D")],
    "labels": [lambda text: "".join(f"({len(label)}){label}" for label in text.rstrip(".").split(".")) + "(0)"],
}


@pytest.mark.parametrize("spelling", ESCAPED)
def test_every_case_that_matches_is_found_however_a_format_may_write_it(spelling):
    """What the scanner passes over is never parsed, so that a rule which works when all is parsed could still be blind."""
    for file in RULES.files.values():
        for case in file.tests.match:
            name = case.dns or case.sni
            text = name if spelling == "labels" else name or case.url or case.connect or case.mail_from
            for write in ESCAPED[spelling] if text else ():
                assert MATCHER.scan(memoryview(write(text).encode()), spelling), (file.id, write(text))


def test_a_page_of_an_image_search_engine_is_nobodys_business():
    """Everybody opens them: nothing is kept of it before an image goes up, whatever shows it."""
    ruling = Ruling.of(CATALOG, Policy())
    opened = [Observation(time=TIME, kind=kind, name="karmadecay.com") for kind in KINDS]
    opened += [
        request("https://www.bing.com/visualsearch"),
        request("https://kagi.com/images"),
        request("https://karmadecay.com/"),
    ]
    assert [ruling.wants(one) for one in opened] == [False] * len(opened)
    assert ruling.wants(request("https://lens.google.com/v3/upload", "POST"))


def test_a_log_of_every_case_gives_what_each_case_says(tmp_path):
    """The whole way, from a proxy's line to sessions: every request that the catalog knows, and the everyday ones between."""
    cases = [(file, case) for file in RULES.files.values() for case in file.tests.match if case.url]
    log = tmp_path / "access.log"
    with log.open("w") as lines:
        for number, (_file, case) in enumerate(cases):
            method, _space, url = case.url.rpartition(" ")
            client = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            lines.write(f"1767268800.000     50 {client} TCP_MISS/200 900 {method or 'GET'} {url} - HIER_DIRECT/192.0.2.9 -\n")
            lines.write(
                f"1767268800.000     50 10.9.9.9 TCP_MISS/200 900 GET {EVERYDAY[number % 16]} - HIER_DIRECT/192.0.2.9 -\n"
            )
    extractor = Extractor(Ruling.of(CATALOG, Policy()))
    data = log.read_bytes()
    source = Input(str(log), "key", TIME, None, "squid-native", "UTC")
    matched, _position = extractor.take(Batch(source, memoryview(data), 0, {}, TIME, ends=True))
    seen = {(one.finding.observation.client, one.finding.service, one.finding.stage.word) for one in matched}
    wanted = {
        (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", file.id, case.stage)
        for number, (file, case) in enumerate(cases)
        if file.category != "visibility"
        if file.category != "reverse-image" or Stage.of(case.stage) >= Stage.UPLOAD
    }
    assert seen == wanted


@pytest.mark.parametrize(("path", "severity"), [("secure_searches", Severity.CRITICAL), ("searches", Severity.HIGH)])
def test_a_hidden_search_in_a_proxys_log_makes_its_session_critical(path, severity):
    """From the log's line to the alert: the mode that hides a search from the vendor's own history stands out."""
    ruling = Ruling.of(CATALOG, Policy())
    url = f"https://app.clearview.ai/api/v1/{path}"
    line = f"1767268800.000 50 10.0.0.7 TCP_MISS/200 900 POST {url} jdoe HIER_DIRECT/192.0.2.9 -\n"
    source = Input("log", "key", TIME, None, "squid-native", "UTC")
    matched, _position = Extractor(ruling).take(Batch(source, memoryview(line.encode()), 0, {}, TIME, ends=True))
    changes = Sessions(ruling.facts, ruling.policy).fold([(one.finding, one.search, one.upload) for one in matched], TIME)
    assert [(alert.kind, alert.severity, alert.session.searches) for alert in changes.alerts] == [("opened", severity, 1)]
