"""Lists of domains, as people keep them, compared with what is watched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.lists import Listed, Unread, compare, names_in
from sentinel.signatures.service import Service

CATALOG = Catalog.of(
    [
        Service.of(
            {
                "id": "faces", "name": "Faces", "category": "face-search", "severity": "high", "references": [],
                "indicators": [
                    {"domain": "faces.example"},
                    {"host": "app.other.example"},
                    {"host_pattern": "faces.*.cloud.example"},
                    {"url": {"host": "shared.example", "path": "/faces", "shared": True}},
                ],
            }
        )
    ]
)  # fmt: skip


def names(text):
    return [one.name for one in names_in(text.splitlines()) if isinstance(one, Listed)]


HOSTS = "127.0.0.1 localhost\n0.0.0.0 faces.example www.faces.example\n::1 six.example\n"
ADBLOCK = "[Adblock Plus 2.0]\n! title\n||faces.example^\n||other.example^$third-party\n@@||not.example^\nx.example##.ad\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Faces.Example.\n# no\n\nother.example # why\n", ["faces.example", "other.example"]),
        (HOSTS, ["faces.example", "www.faces.example", "six.example"]),
        (ADBLOCK, ["faces.example", "other.example"]),
        ('rank,domain,seen\n1,faces.example,2026\n2,"other.example",2025\n', ["faces.example", "other.example"]),
        ("name;url\nFaces;https://www.faces.example:8443/x?y=z.example\n", ["www.faces.example"]),
        ("domain\tseen\nfaces.example\t2026\n", ["faces.example"]),
        ("*.faces.example\n.other.example\nhxxps://third[.]example/x\n", ["faces.example", "other.example", "third.example"]),
        ("\ufefffaces.example\nfaces.example\n", ["faces.example"]),
        ("co.uk\ncom\n192.0.2.1\nfaces example\n", []),
    ],
)
def test_a_list_of_each_kind_gives_its_names(text, expected):
    """They come from blocklists, OSINT pages and spreadsheets; nobody wants to convert them first."""
    assert names(text) == expected


def test_a_line_that_gives_no_name_is_told_with_its_number():
    """A list that was read by half must not look like one that was compared."""
    unread = [one.line for one in names_in(["faces.example", "", "what?", "@@||x.example^"]) if isinstance(one, Unread)]
    assert unread == [3, 4]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("faces.example", "watched"),
        ("www.faces.example", "watched"),
        ("faces.eu.cloud.example", "watched"),
        ("other.example", "in part"),
        ("cloud.example", "in part"),
        ("shared.example", "in part"),
        ("notfaces.example", "missing"),
        ("www.app.other.example", "missing"),
    ],
)
def test_a_name_is_watched_or_in_part_or_missing(name, how):
    """A host below the listed name, or a path on it, is not the whole of it; whoever compares must see that."""
    (known,) = compare(CATALOG, [Listed(name, 1)])
    assert (known.how, known.services) == (how, () if how == "missing" else ("faces",))


@given(
    st.lists(
        st.text(max_size=80) | st.sampled_from(["||", '"', 'a,"b', "0.0.0.0 ", "http://[", "\x00", "a." * 200]), max_size=8
    )
)
def test_whatever_stands_in_a_list_it_is_read(lines):
    """Lists are downloaded; each line gives names or is told."""
    found = list(names_in(lines))
    assert all(one.line <= len(lines) for one in found)
    assert list(compare(CATALOG, [one for one in found if isinstance(one, Listed)])) is not None
