"""Other people's indicators as service files: what comes in is what they said, what does not is told, and the files stand."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.file import ServiceFile
from sentinel.signatures.imports import misp, plain, stix
from sentinel.signatures.imports.item import Described, Refused, Taken
from sentinel.signatures.imports.pattern import Unreadable, alternatives
from sentinel.signatures.imports.sample import sample
from sentinel.signatures.imports.writing import Written, service_files
from sentinel.signatures.matcher import Matcher
from tests.exports import cases

SENTINEL = Path(sys.executable).with_name("sentinel")
DEFAULT = Described("a-list", "A list", "face-search", "medium", references=("https://lists.example/",))
READERS = {"stix": stix.read, "misp": misp.read, "list": plain.read}


@cache
def again(target: str) -> Written:
    """Return what comes of an export that is read back."""
    return service_files(READERS[target](cases.text(target).encode()), DEFAULT, cases.catalog())


def files(written: Written) -> list[ServiceFile]:
    """Return the service files as they are read from disk."""
    return [ServiceFile.model_validate(yaml.safe_load(text)) for text in written.files.values()]


def matcher(written: Written) -> Matcher:
    """Return a matcher for what came in."""
    return Matcher(Catalog.of(file.service for file in files(written)))


def listed(text: str) -> Written:
    """Return what comes of a plain list."""
    return service_files(plain.read(text.encode()), DEFAULT, cases.catalog())


def indicators(written: Written) -> list[dict]:
    """Return the indicators that came in, as they are written."""
    return [one for text in written.files.values() for one in yaml.safe_load(text)["indicators"]]


@pytest.mark.integration
@pytest.mark.parametrize("target", ["stix", "misp"])
def test_what_was_exported_comes_back_and_finds_the_same(target):
    """Two departments that exchange their rules by a platform look for the same."""
    ours, theirs = cases.said(target), matcher(again(target))
    for name in cases.names():
        assert cases.services(theirs, cases.looked_up(name)) == cases.services(ours, cases.looked_up(name)), name
    for sender in ("help@clearview.ai", "a@mail.pimeyes.com", "a@notpimeyes.com"):
        assert cases.services(theirs, cases.mailed(sender)) == cases.services(ours, cases.mailed(sender))


def test_requests_come_back_from_stix_as_they_were():
    """Method, path, parameters, and whether all below a path is meant."""
    ours, theirs = cases.said("stix"), matcher(again("stix"))
    for method, url in cases.requests():
        seen = cases.requested(method, url)
        assert [(one.service.id, one.stage, one.basis) for one in theirs.match(seen)] == [
            (one.service.id, one.stage, one.basis) for one in ours.match(seen)
        ], f"{method} {url}"


def test_a_service_comes_back_from_stix_with_what_it_is():
    """Severity and confidence decide what an alert looks like; a search that is polled counts once."""
    for file in files(again("stix")):
        service = cases.catalog().services[file.id]
        assert (file.name, file.category, file.severity) == (service.name, service.category, service.severity)
        kept = {(one.label, one.secret, one.polled) for one in file.service.indicators}
        assert kept == {
            (one.label, one.secret, one.polled) for one in service.indicators if not (one.extension or one.android or one.ios)
        }


@pytest.mark.parametrize("target", ["stix", "misp"])
def test_nothing_of_an_export_is_left_out_but_what_says_nothing_to_look_for(target):
    """What is left out is told one by one."""
    written = again(target)
    assert len(written.refused) == 1
    assert written.indicators == cases.exported(target).about.entries - (target == "misp") * doubles()


def doubles() -> int:
    """Return how many entries of the MISP export are one attribute."""
    attributes = json.loads(cases.text("misp"))["Event"]["Attribute"]
    return cases.exported("misp").about.entries - (len(attributes) - 1)


def test_a_list_is_read_line_by_line_whatever_its_fashion():
    """Names, hosts files, filters, wildcards, defanged names, comments."""
    written = listed(
        "# a list\nfaces.example\n0.0.0.0 one.example www.one.example\n||two.example^\n*.three.example\nfour[.]example\n"
    )
    assert [one["domain"] for one in indicators(written)] == [
        "faces.example", "one.example", "www.one.example", "two.example", "three.example", "four.example",
    ]  # fmt: skip
    assert written.refused == []


def test_a_line_with_a_path_is_a_request_and_never_its_site():
    """The site may be everybody's: a rule for it would accuse them all."""
    written = listed(
        "7,https://csv.example/x?a=b,note\nhttps://pages.example/spaces/face-search\npages.example/a?x=1\n||pages.example/filter^\nhttps://site.example/\n"
    )
    assert [one.get("url") for one in indicators(written)] == [
        {"host": "csv.example", "path": "/x", "query": ["a=b"]},
        {"host": "pages.example", "path": "/spaces/face-search"},
        {"host": "pages.example", "path": "/a", "query": ["x=1"]},
        {"host": "pages.example", "path": "/filter"},
        None,
    ]
    found = matcher(written)
    assert not found.match(cases.looked_up("pages.example"))
    assert found.match(cases.looked_up("site.example"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("co.uk", "no name"),
        ("192.0.2.1", "no name"),
        ("huggingface.co", "serves much else"),
        ("https://192.0.2.1/face", "no name"),
        ("https://a.example/x?q=face search", "a blank"),
        ("@@||good.example^", "an exception"),
        ("example.com##.banner", "hides a part"),
        ("pimeyes.com", "watched already as pimeyes"),
        ("app.clearview.ai", "watched already as clearview-ai"),
        ("hf.space", "no name"),
    ],
)
def test_what_cannot_be_taken_over_is_told_with_its_line_and_reason(line, why):
    """Silence would be taken for being watched."""
    written = listed(f"faces.example\n{line}\n")
    assert written.indicators == 1
    assert [one.where for one in written.refused] == ["line 2"]
    assert why in written.refused[0].why


def test_a_name_above_another_services_hosts_is_refused():
    """hf.space or a portal's name would take the hosts of others in, and each finding would have two services."""
    written = listed("pocketsflow.com\n")
    assert written.indicators == 0
    assert "faceonlive" in written.refused[0].why


def foreign(pattern: str, **more: object) -> list[Taken | Refused]:
    """Return what is read of a bundle of somebody else with one indicator."""
    one = {"type": "indicator", "id": "indicator--1", "name": "Faces", "pattern": pattern, "pattern_type": "stix", **more}
    return list(stix.read(json.dumps({"type": "bundle", "objects": [one]}).encode()))


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("[domain-name:value = 'a.example']", [{"host": "a.example"}]),
        ("[domain-name:value = 'a.example' OR domain-name:value LIKE '%.a.example']", [{"domain": "a.example"}]),
        ("[domain-name:value IN ('a.example', 'b.example')]", [{"host": "a.example"}, {"host": "b.example"}]),
        (
            "[domain-name:value = 'a.example'] OR [domain-name:value = 'b.example']",
            [{"host": "a.example"}, {"host": "b.example"}],
        ),
        ("[url:value = 'https://a.example/face?x=1']", [{"url": {"host": "a.example", "path": "/face", "query": ["x=1"]}}]),
        ("[email-message:from_ref.value LIKE '%@a.example']", [{"mail_from": "a.example"}]),
        ("[(domain-name:value = 'a.example')]", [{"host": "a.example"}]),
    ],
)
def test_a_foreign_pattern_means_what_it_says(pattern, said):
    """STIX compares names whole: what is below one is meant only where the pattern says so."""
    taken = foreign(pattern)
    assert [{key: value for key, value in one.indicator.items() if key not in ("stage", "note")} for one in taken] == said
    assert all(one.indicator["note"] == "Faces" for one in taken)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[domain-name:value = 'a.example' AND ipv4-addr:value = '192.0.2.1']", "joins"),
        ("[domain-name:value = 'a.example'] FOLLOWEDBY [domain-name:value = 'b.example']", "FOLLOWEDBY"),
        ("[domain-name:value = 'a.example'] WITHIN 5 SECONDS", "WITHIN"),
        ("[domain-name:value != 'a.example']", "!="),
        ("[NOT domain-name:value = 'a.example']", "NOT"),
        ("[domain-name:value LIKE 'face%']", "wildcard"),
        ("[domain-name:value MATCHES 'face.*']", "expression"),
        ("[ipv4-addr:value = '192.0.2.1']", "ipv4-addr"),
        ("[domain-name:value = 'a.example'", "middle"),
        ("", "middle"),
    ],
)
def test_a_pattern_that_says_more_is_refused_whole(pattern, why):
    """Half of a condition would find what the condition does not."""
    (refused,) = foreign(pattern)
    assert isinstance(refused, Refused)
    assert why in refused.why


@pytest.mark.parametrize("more", [{"revoked": True}, {"pattern_type": "sigma"}, {"type": "malware"}])
def test_what_is_revoked_or_no_indicator_is_told(more):
    """Its author took it back, or it says nothing to look for."""
    assert isinstance(foreign("[domain-name:value = 'a.example']", **more)[0], Refused)


def test_a_foreign_event_is_read_by_type_and_intent():
    """to_ids is MISP's word for "detect by it"; a sender's whole address is more than a domain."""
    attributes = [
        {"type": "domain", "value": "a.example", "to_ids": True, "comment": "seen in March"},
        {"type": "hostname", "value": "h.b.example", "to_ids": True},
        {"type": "domain|ip", "value": "c.example|192.0.2.1", "to_ids": True},
        {"type": "url", "value": "http://d.example/face", "to_ids": True},
        {"type": "domain", "value": "e.example", "to_ids": False},
        {"type": "email-src", "value": "x@f.example", "to_ids": True},
        {"type": "domain", "value": "g.example", "to_ids": True, "deleted": True},
    ]
    objects = [{"Attribute": [{"type": "domain", "value": "i.example", "to_ids": True}]}]
    items = list(misp.read(json.dumps({"response": [{"Event": {"Attribute": attributes, "Object": objects}}]}).encode()))
    taken = [{key: value for key, value in one.indicator.items() if key != "stage"} for one in items if isinstance(one, Taken)]
    assert taken == [
        {"domain": "a.example", "note": "seen in March"},
        {"host": "h.b.example"},
        {"domain": "c.example"},
        {"url": {"host": "d.example", "path": "/face"}},
        {"domain": "i.example"},
    ]
    assert sum(isinstance(one, Refused) for one in items) == 3


def test_an_id_from_elsewhere_never_leaves_the_folder():
    """The id becomes a file's name."""
    one = {"type": "indicator", "pattern": "[domain-name:value = 'a.example']", "labels": ["face-search"]}
    one |= {"external_references": [{"source_name": stix.SOURCE, "external_id": "../../etc/cron.d/x"}]}
    written = service_files(stix.read(json.dumps({"objects": [one]}).encode()), DEFAULT, cases.catalog())
    assert list(written.files) == ["a-list.yaml"]


def test_a_long_list_becomes_several_files(monkeypatch):
    """A file has to stay one that is read in seconds."""
    monkeypatch.setattr("sentinel.signatures.imports.writing.MOST", 3)
    written = listed("".join(f"site{number}.example\n" for number in range(7)))
    assert list(written.files) == ["a-list.yaml", "a-list-2.yaml", "a-list-3.yaml"]
    assert len(indicators(written)) == written.indicators == 7


@pytest.mark.parametrize(
    "regex", ["^/face/v[0-9.]+/detect$", "^/images/(touch/)?search$", "^/a{3}(b|c)+[^/]*$", r"^/x\.y~z/?$"]
)
def test_a_sample_of_an_expression_fits_it(regex):
    """It is the case that shows that the indicator matches at all."""
    assert sample(regex)


@given(st.binary(max_size=400))
@pytest.mark.parametrize("form", READERS)
def test_any_bytes_are_read_or_refused(form, data):
    """What a platform hands out is anybody's."""
    try:
        items = list(READERS[form](data))
    except ValueError:
        return
    service_files(items, DEFAULT, Catalog.of([]))


KEYS = [
    "type", "objects", "pattern", "pattern_type", "labels", "external_references", "Event", "Attribute", "Object", "value",
    "to_ids", "comment", "response", "id", "name", "confidence", "revoked", "description", "valid_until",
]  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["indicator", "stix", "domain", "a.example"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=15,
)


@given(JSON)
@pytest.mark.parametrize("form", ["stix", "misp"])
def test_any_json_is_read_or_refused(form, tree):
    """A list where a text should be is no reason to fall over."""
    try:
        items = list(READERS[form](json.dumps(tree).encode()))
    except ValueError:
        return
    service_files(items, DEFAULT, Catalog.of([]))


@given(st.text(alphabet="[]()'=:.,ORANDLIKEMATCHES domain-name:value%\\", max_size=80))
def test_any_pattern_is_read_or_unreadable(pattern):
    """Patterns are written by strangers, and by programs with defects."""
    try:
        alternatives(pattern)
    except Unreadable:
        return


def test_a_pattern_of_many_brackets_or_alternatives_ends():
    """Neither the stack nor the memory is a stranger's to fill."""
    with pytest.raises(Unreadable, match="nests"):
        alternatives("[" + "(" * 5000)
    both = "(domain-name:value = 'a' OR domain-name:value = 'b')"
    with pytest.raises(Unreadable, match="alternatives"):
        alternatives("[" + " AND ".join([both] * 40) + "]")


def sentinel(*args: object) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run([SENTINEL, *map(str, args)], capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.integration
def test_the_command_writes_a_service_that_the_rules_own_test_accepts(tmp_path):
    """Cases of both kinds, a reference, the file's name: `rules test` asks for all of them."""
    (tmp_path / "My faces.txt").write_text("faces.example\nother.example/face-search\nco.uk\n")
    done = sentinel(
        *("rules", "import", "list", tmp_path / "My faces.txt"),
        "--to",
        tmp_path / "rules",
        "--reference",
        "https://lists.example/",
    )
    assert done.returncode == 0
    assert "left out: line 3: " in done.stderr
    assert "2 indicators in 1 services; 1 left out" in done.stderr
    assert [path.name for path in (tmp_path / "rules").iterdir()] == ["my-faces.yaml"]
    tested = sentinel("rules", "test", "--rules", tmp_path / "rules")
    assert (tested.returncode, "0 failed" in tested.stdout) == (0, True), tested.stderr


@pytest.mark.integration
@pytest.mark.parametrize("target", ["stix", "misp"])
def test_the_whole_catalog_goes_out_and_in_again_and_passes_its_tests(tmp_path, target):
    """Every file that an import writes is one that a person could have written."""
    assert sentinel("rules", "export", target, "--to", tmp_path).returncode == 0
    file = tmp_path / f"sentinel.{target}.json"
    done = sentinel("rules", "import", target, file, "--to", tmp_path / "rules", "--reference", "https://lists.example/")
    assert done.returncode == 0, done.stderr
    tested = sentinel("rules", "test", "--rules", tmp_path / "rules")
    assert (tested.returncode, "0 failed" in tested.stdout) == (0, True), tested.stderr


@pytest.mark.integration
def test_an_import_of_nothing_fails(tmp_path):
    """A feed that changed its form must not look like one that was taken in."""
    (tmp_path / "empty.json").write_text('{"type": "bundle", "objects": []}')
    done = sentinel(
        "rules", "import", "stix", tmp_path / "empty.json", "--to", tmp_path / "rules", "--reference", "https://a.example/"
    )
    assert done.returncode == 1
    (tmp_path / "no.json").write_text("<html>")
    done = sentinel(
        "rules", "import", "stix", tmp_path / "no.json", "--to", tmp_path / "rules", "--reference", "https://a.example/"
    )
    assert (done.returncode, "no.json" in done.stderr) == (2, True)
