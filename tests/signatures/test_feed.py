"""Feeds: each format's names, what is left out and counted, and mistakes in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.config.catalogs import FeedEntry
from sentinel.config.rules import RuleSources, checked_rules
from sentinel.problems import Problems
from sentinel.signatures.feed import Feed, read_feed

EVENT = {
    "Event": {
        "Attribute": [
            {"type": "domain", "value": "Bad.Example", "to_ids": True},
            {"type": "hostname", "value": "www.worse.example", "to_ids": True},
            {"type": "domain|ip", "value": "third.example|192.0.2.1"},
            {"type": "domain", "value": "mentioned.example", "to_ids": False},
            {"type": "ip-dst", "value": "192.0.2.1", "to_ids": True},
        ],
        "Object": [{"Attribute": [{"type": "domain", "value": "fourth.example", "to_ids": True}]}],
    }
}
MISP_NAMES = ["bad.example", "fourth.example", "third.example", "www.worse.example"]


def indicator(pattern, **more):
    return {"type": "indicator", "pattern": pattern, "pattern_type": "stix", **more}


BUNDLE = {
    "type": "bundle",
    "objects": [
        {"type": "identity", "name": "somebody"},
        indicator("[domain-name:value = 'one.example']"),
        indicator("[domain-name:value = 'two.example' OR domain-name:value = 'Three.Example']"),
        indicator("[domain-name:value = 'over.example']", valid_until="2020-01-01T00:00:00Z"),
        indicator("[domain-name:value = 'later.example']", valid_until="2999-01-01T00:00:00Z"),
        indicator("[domain-name:value = 'gone.example']", revoked=True),
        indicator("[domain-name:value = 'a.example' AND url:value = 'http://x/']"),
        indicator("[domain-name:value = 'b.example'] FOLLOWEDBY [domain-name:value = 'c.example']"),
        indicator("[ipv4-addr:value = '192.0.2.1']"),
        indicator("rule x {}", pattern_type="yara"),
    ],
}


def feed(tmp_path, content, form="plain"):
    path = tmp_path / "list"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return Feed(path, form, "list", "A list", "face-search", "medium")


def came_of(one):
    """Return whether names came of a list, or words."""
    try:
        return bool(read_feed(one).hosts)
    except Problems as problems:
        return "the feed 'list'" in str(problems)


@pytest.mark.parametrize(
    ("form", "content", "names"),
    [
        ("plain", b"# a list\npimeyes.com\nFaceCheck.ID.\n\n0.0.0.0 third.example\n||fourth.example^\n", None),
        ("misp", EVENT, MISP_NAMES),
        ("misp", {"response": [EVENT]}, MISP_NAMES),
        ("misp", [EVENT], MISP_NAMES),
        ("stix", BUNDLE, ["later.example", "one.example", "three.example", "two.example"]),
    ],
)
def test_a_list_becomes_a_service(tmp_path, form, content, names):
    """Its names in canonical form, each once; what is not meant for detection stays out."""
    service = read_feed(feed(tmp_path, content, form))
    assert list(service.hosts) == (names or ["facecheck.id", "fourth.example", "pimeyes.com", "third.example"])
    assert (service.id, service.severity) == ("list", "medium")


def test_what_is_no_site_is_left_out_and_counted(tmp_path):
    """A page on a site that everybody uses must not make the whole site suspect."""
    content = b"https://docs.google.com/forms/d/evil\nco.uk\ngithub.io\n192.0.2.1\nlocalhost\ngood.example\n"
    service = read_feed(feed(tmp_path, content))
    assert list(service.hosts) == ["good.example"]
    assert service.described["note"].startswith("a list of 1 names; 2 left out: everybody's names end so")
    assert "1 left out: a page, not a site" in service.described["note"]


@pytest.mark.parametrize(
    ("form", "content", "words"),
    [
        ("plain", b"", "holds no name"),
        ("plain", b"# nothing\n", "holds no name"),
        ("misp", b"pimeyes.com\n", "no list of the format 'misp'"),
        ("stix", EVENT, "no list of the format 'stix'"),
        ("stix", {"objects": []}, "holds no name"),
    ],
)
def test_a_list_that_gives_nothing_is_a_mistake(tmp_path, form, content, words):
    """An empty download must not blind: the last good list stays in force."""
    with pytest.raises(Problems, match=words):
        read_feed(feed(tmp_path, content, form))


@given(content=st.binary(max_size=200), form=st.sampled_from(["plain", "misp", "stix"]))
def test_any_bytes_are_a_list_or_a_mistake(tmp_path_factory, content, form):
    """What others write may be anything."""
    assert came_of(feed(tmp_path_factory.mktemp("feed"), content, form))


@given(
    tree=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["Event", "Attribute", "Object", "objects", "type", "value", "pattern"]), inner)
        ),
        max_leaves=12,
    ),
    form=st.sampled_from(["misp", "stix"]),
)
def test_any_json_is_a_list_or_a_mistake(tmp_path_factory, tree, form):
    """Of the right syntax and another shape."""
    assert came_of(feed(tmp_path_factory.mktemp("feed"), tree, form))


def test_a_feed_with_the_id_of_a_service_is_a_mistake(tmp_path):
    """It would silently replace what is known of that service."""
    entry = FeedEntry(id="pimeyes", path="list")
    (tmp_path / "list").write_text("pimeyes.com\n")
    taken = Feed(tmp_path / "list", entry.format, entry.id, "x", entry.category, entry.severity)
    with pytest.raises(Problems, match="another service has the id 'pimeyes'"):
        RuleSources(feeds=[taken]).load()


def test_what_is_kept_of_a_feed_is_not_taken_for_another(tmp_path, monkeypatch):
    """The same list as another service, or of another severity, is another rule set."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "list").write_text("pimeyes.com\n")
    made = [Feed(tmp_path / "list", "plain", "list", "List", "face-search", severity) for severity in ("low", "high", "low")]
    (tmp_path / "rules").mkdir()
    catalogs = [checked_rules(RuleSources([tmp_path / "rules"], builtin=False, feeds=[one])) for one in made]
    assert [one.services["list"].severity for one in catalogs] == ["low", "high", "low"]
    (tmp_path / "list").write_text("facecheck.id\n")
    again = checked_rules(RuleSources([tmp_path / "rules"], builtin=False, feeds=[made[0]]))
    assert list(again.services["list"].hosts) == ["facecheck.id"]
