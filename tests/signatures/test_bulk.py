"""Very many names: whichever way they are looked for, no record that matches is passed over."""

import json
import pickle
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.observation import Observation
from sentinel.signatures import matcher as matching
from sentinel.signatures.bulk import Bulk, anchor
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.hosts import HostList
from sentinel.signatures.matcher import Matcher
from sentinel.signatures.names import is_host_name
from sentinel.signatures.service import Service
from sentinel.signatures.spelling import needles
from sentinel.terms import Stage

TIME = datetime(2026, 1, 1, tzinfo=UTC)
LETTERS = string.ascii_lowercase + string.digits
labels = st.text(LETTERS + "-_", min_size=1, max_size=20).map(lambda text: text.strip("-") or "x")
hosts = st.lists(labels, min_size=2, max_size=5).map(".".join).filter(is_host_name)


def feed(names, **more):
    described = {"id": "list", "name": "List", "category": "face-search", "severity": "low", "indicators": [], "references": []}
    return Service.of({**described, **more, "names": HostList.of(names).text})


@pytest.fixture(params=[10**9, 0], ids=["scanned", "in bulk"])
def made(request, monkeypatch):
    """Make matchers of a feed, once as small ones are and once as very large ones."""
    monkeypatch.setattr(matching, "SCANNED", request.param)
    return lambda names: Matcher(Catalog.of([feed(names)]))


def spelt(name, spelling, marks):
    if spelling == "labels":
        return "".join(f"({len(label)}){label}" for label in name.split(".")) + "(0)"
    template = {"json": "\\u{:04x}", "zeek": "\\x{:02x}", "percent": "%{:02x}"}.get(spelling)
    if template is None:
        return name
    return "".join(template.format(ord(c)) if mark else c for c, mark in zip(name, marks, strict=False))


@pytest.mark.parametrize("spelling", ["plain", "json", "zeek", "percent", "labels"])
@pytest.mark.parametrize("limit", [10**9, 0])
@given(
    data=st.data(), names=st.lists(hosts, min_size=1, max_size=8), before=st.binary(max_size=20), after=st.binary(max_size=20)
)
def test_every_record_that_matches_is_found(spelling, limit, data, names, before, after):
    """In any letter case, escaped or not, with more in front: what the scanner passes over is never parsed."""
    held, matching.SCANNED = matching.SCANNED, limit
    try:
        made = Matcher(Catalog.of([feed(names)]))
    finally:
        matching.SCANNED = held
    name = data.draw(st.sampled_from(["", "www.", "a.b-c."])) + data.draw(st.sampled_from(names))
    assert made.match(Observation(time=TIME, kind="dns_query", name=name))
    upper = data.draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    marks = data.draw(st.just([False] * len(name)) | st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    written = spelt("".join(c.upper() if up else c for c, up in zip(name, upper, strict=True)), spelling, marks)
    if spelling == "json":
        assert json.loads(f'"{written}"').lower() == name
    record = before + b" " + written.encode() + b" " + after
    found = made.scan(memoryview(record), spelling)
    assert found
    assert all(0 < end <= len(record) for end in found)


@given(
    names=st.lists(hosts, min_size=1, max_size=20), data=st.binary(max_size=300), spelling=st.sampled_from(["plain", "labels"])
)
def test_what_hyperscan_finds_is_found_in_bulk_too(names, data, spelling):
    """The needles of small lists are what has been proven; anchors are pieces of them."""
    import re

    bulk = Bulk(names)
    chosen = [name for name in names if name not in bulk.rest]
    text = b"".join(data[at : at + 7] + chosen[at % len(chosen)].encode() for at in range(0, len(data), 7)) if chosen else data
    ends = bulk.scan(memoryview(text), spelling)
    for needle in needles(chosen, [], [], spelling) if chosen else ():
        for found in re.finditer(needle, text, re.IGNORECASE):
            assert any(found.start() < end <= found.end() for end in ends), (needle, found)


def test_names_are_found_at_the_edges_of_a_buffer():
    """The first and the last record of a buffer count like the others."""
    bulk = Bulk(["pimeyes.com", "x.io", "long-name-of-a-service.example"])
    for name in (b"pimeyes.com", b"x.io", b"LONG-NAME-of-a-service.example"):
        assert bulk.scan(memoryview(name), "plain")
        assert bulk.scan(memoryview(b"\n" * 70 + name), "plain")
    assert bulk.scan(memoryview(b"(7)pimeyes(3)com"), "labels") == [15]
    assert bulk.scan(memoryview(b"(7)pimeyes(3)co"), "labels") == [15]
    assert bulk.scan(memoryview(b"."), "plain") == bulk.scan(memoryview(b"(1)"), "labels") == []


def test_little_else_is_found():
    """Each needless find is a record parsed in vain."""
    bulk = Bulk([f"name{number}-of-a-list.example" for number in range(5000)])
    text = "".join(f"www.host{number}.example.org 10.0.{number % 256}.1\n" for number in range(20_000)).encode()
    assert len(bulk.scan(memoryview(text), "plain")) < 20


@pytest.mark.parametrize(
    ("name", "stands"),
    [
        ("pimeyes.com", "pimeyes.co"),
        ("a.very-long-name-of-a-service.co.uk", "-of-a-service.co"),
        ("t.me", "t.me"),
        ("example.1st.x", None),
        ("x.y", None),
    ],
)
def test_an_anchor_is_the_longest_label_with_what_follows(name, stands):
    """The rarest piece that never crosses a second dot, so that labels behind lengths fit it too."""
    assert anchor(name) == stands


def test_names_without_an_anchor_are_looked_for_all_the_same(made):
    """No name may fall between the two ways."""
    matcher = made(["1.2", "x.y", "pimeyes.com"])
    for name in (b"1.2", b"x.y", b"PimEyes.com"):
        assert matcher.scan(memoryview(b"- " + name + b"\n"), "plain"), name


def test_every_dns_message_is_parsed_where_the_list_is_long(monkeypatch):
    """Compressed names cannot be looked for by the thousand; a record is never passed over for that."""
    monkeypatch.setattr(matching, "WIRED", 1)
    matcher = Matcher(Catalog.of([feed(["pimeyes.com", "facecheck.id"])]))
    ends = matcher.scan(memoryview(bytes(100)), "wire")
    assert all(any(start < end <= start + matching.SHORTEST for end in ends) for start in range(92))


@pytest.mark.parametrize(
    ("name", "matches"),
    [("pimeyes.com", True), ("A.PimEyes.com.", True), ("xpimeyes.com", False), ("pimeyes.com.example", False), ("com", False)],
)
def test_a_listed_name_matches_itself_and_all_below(made, name, matches):
    """On label boundaries, as every domain does; a handshake is a contact."""
    found = made(["pimeyes.com", "facecheck.id"]).match(Observation(time=TIME, kind="tls_client_hello", name=name))
    assert [(one.service.id, one.indicator, one.stage) for one in found] == (
        [("list", "domain pimeyes.com", Stage.CONTACT)] if matches else []
    )


@given(st.sets(hosts, max_size=40), st.lists(hosts, max_size=20))
def test_a_list_of_hosts_is_a_set_in_order(names, others):
    """It stands for one, in a tenth of the memory; also after it went to another process."""
    for listed in (HostList.of(names), pickle.loads(pickle.dumps(HostList.of(names)))):
        assert list(listed) == sorted(names)
        assert [listed[index] for index in range(len(listed))] == sorted(names)
        assert all((one in listed) == (one in names) for one in [*names, *others, "é.example", ""])


def test_the_rule_set_names_every_name_of_a_list():
    """A finding must be made again years later: the list is part of what the digest stands for."""
    one, other = Catalog.of([feed(["a.example", "b.example"])]), Catalog.of([feed(["a.example", "c.example"])])
    assert one.digest != other.digest
    again = Catalog.of(map(Service.of, json.loads(one.canonical)))
    assert (again.digest, list(again.services["list"].hosts)) == (one.digest, ["a.example", "b.example"])
    assert [indicator.label for indicator in again.services["list"].indicators] == ["domain a.example", "domain b.example"]
