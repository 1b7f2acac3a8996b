"""The built-in catalog: it loads, each rule proves itself, and no name of somebody else's matches any of it."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
import yaml

from sentinel.observation import Observation
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.matcher import Matcher
from sentinel.signatures.reading import read_files
from sentinel.signatures.selftest import run_tests
from sentinel.terms import Stage

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
    "clearviewcloud.lat",
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
    "learnfl.vigilantsolutions.com",
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
]

ONLY_VISITS = [
    "https://facecheck.id/en/topics/Online-Dating-Profiles",
    "https://pimeyes.com/en/blog/x",
    "https://www.facefinder.id/en/blog/x",
    "https://clearview.ai/privacy-policy",
    "https://privacycompliance.clearview.ai/",
    "https://findclone.ru/register?phone=7000",
]


def request(url):
    parts = urlsplit(url)
    return Observation(
        time=TIME, kind="http_request", name=parts.hostname, url=url, path=parts.path, query=parts.query or None, method="GET"
    )


@pytest.mark.parametrize("kind", ["dns_query", "tls_client_hello", "proxy_connect", "mail"])
@pytest.mark.parametrize("name", OTHER_PEOPLES_NAMES)
def test_other_peoples_names_match_nothing(name, kind):
    """An accountant, a credit union, a shared platform: whoever goes there has searched no face."""
    assert MATCHER.match(Observation(time=TIME, kind=kind, name=name)) == []


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
    assert report.cases > report.negative > 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_rule_lies_in_its_folder_and_brings_cases_of_both_kinds(path):
    """The file's name is the id, the folder the category; a rule that is not tried both ways is an opinion."""
    service = RULES.files[path.stem]
    assert service.category == path.parent.name
    assert service.references
    assert service.tests.no_match
    assert service.tests.match or service.category == "sanctioned"


def test_unproven_names_are_no_rules():
    """Names that no source confirms would accuse people on a guess."""
    text = yaml.safe_dump(
        [yaml.safe_load(path.read_text())["indicators"] for path in FILES if "indicators:" in path.read_text()]
    )
    unproven = ("cheaterbuster.net", "cheateye.ai", "arrests.org", "facesaerch.com", "api.clearview.ai", "precheck.ai")
    assert [name for name in unproven if name in text] == []
