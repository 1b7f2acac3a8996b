"""Who did it: no text that a client chose, of whatever product's log, says so in another's name."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.formats import FORMATS
from sentinel.formats.format import Malformed, Stream
from sentinel.formats.mapping import KNOWN
from sentinel.formats.mapping.mapped import IDENTITY
from sentinel.formats.mapping.shapes import Said
from tests.formats.samples import clock, reader, records, samples_of

ADDRESS, PERSON = "10.99.99.99", "chief@planted.example"
SHAPES = {name: one.spec for name, one in sorted(KNOWN.items()) if one.spec["record"] not in ("json", "xml")}


def identities(name: str) -> list[str]:
    """Return the fields that say who it was."""
    kinds = KNOWN[name].mapped.kinds
    return sorted({key for kind in kinds for one in kind.fields if one.target in IDENTITY for key in one.keys})


def rows(name: str) -> list[tuple[Said, ...]]:
    """Return a format's sample records, taken apart, of which an access is told."""
    found = []
    for record in (record for path in samples_of(name) for record in records(path)):
        try:
            if reader(name).parse(record):
                found += [row.said for row in KNOWN[name].mapped.rows(record, ()) if row.said]
        except Malformed:
            continue
    return found


def written(name: str, said: list[tuple[str, str]]) -> bytes:
    """Write a record as a product does that escapes what its format knows escapes for, and nothing else."""
    spec = SHAPES[name]
    shape = spec["record"]
    if shape == "csv":
        delimiter = spec.get("delimiter", ",")
        quote = '"' if delimiter == "," else ""
        return delimiter.join(f"{quote}{value}{quote}" for _key, value in said).encode("utf-8", "surrogateescape")
    lead = "".join(f"{value} " for key, value in said if key == "lead" and value)
    said = [one for one in said if one[0] != "lead"]
    if shape in ("cef", "leef"):
        count = 6 if shape == "cef" else 4
        head = "|".join(value for _key, value in said[:count])
        rest = (" " if shape == "cef" else "\t").join(f"{key}={value}" for key, value in said[count:])
        return f"{shape.upper()}:{0 if shape == 'cef' else '1.0'}|{head}|{rest}".encode("utf-8", "surrogateescape")
    if spec.get("quoted") or spec.get("escapes"):
        return (lead + " ".join(f'{key}="{value}"' for key, value in said)).encode("utf-8", "surrogateescape")
    separator = spec.get("separator") or " "
    return (lead.strip() + (separator if lead else "") + separator.join(f"{k}={v}" for k, v in said)).encode(
        "utf-8", "surrogateescape"
    )


def texts_of(name: str) -> frozenset[str]:
    """Return the fields of a mapping that hold what a client chose."""
    return KNOWN[name].mapped.belief.texts


def planted(name: str, keys: list[str]) -> str:
    """Return what a client puts into its text so that it reads on as other fields."""
    spec = SHAPES[name]
    if spec["record"] == "csv":
        between = spec.get("delimiter", ",")
        return f'"{between}"'.join(["", *[ADDRESS, PERSON] * 12]) if between == "," else between.join([ADDRESS, PERSON] * 12)
    between = {"leef": "\t", "cef": " "}.get(spec["record"], spec.get("separator") or " ")
    values = [ADDRESS if "ip" in key.lower() or "src" in key.lower() or key == "h" else PERSON for key in keys]
    if spec.get("quoted") or spec.get("escapes"):
        return '\\"' + "".join(f' {key}=\\"{value}\\"' for key, value in zip(keys, values, strict=True))
    return "".join(f"{between}{key}={value}" for key, value in zip(keys, values, strict=True))


ROWS = {name: rows(name) for name in SHAPES}
UNTRIED = {"zscaler-fw-csv", "nextdns", "skyhigh-sse"}
"""The first has no text of a client; what the others' cells are, their header says, which has a test below."""


@pytest.mark.parametrize("name", sorted(set(SHAPES) - UNTRIED))
def test_each_format_is_tried(name):
    """A format of which no sample holds a client's text would make the next test pass for nothing."""
    assert any(texts_of(name) & {one.key for one in said} for said in ROWS[name])


@given(data=st.data())
def test_no_text_of_a_client_names_who_it_was(data):
    """In each text of each format stand other clients and users; the record's own may be there or not. None of them is told.

    They may be kept as claimed: that is what a name is that anybody can write.
    """
    name = data.draw(st.sampled_from(sorted(set(SHAPES) - UNTRIED)))
    said = [(one.key, one.value.replace('"', "")) for one in data.draw(st.sampled_from(ROWS[name]))]
    keys = identities(name)
    places = [at for at, (key, value) in enumerate(said) if key in texts_of(name) and value]
    if not places:
        return
    at = data.draw(st.sampled_from(places))
    put = data.draw(st.permutations(keys))[: data.draw(st.integers(1, len(keys)))]
    value = said[at][1]
    cut = data.draw(st.integers(0, len(value)))
    text = value[:cut] + planted(name, list(put)) + value[cut:] * data.draw(st.integers(0, 1))
    # A product that sorts always writes the client's address.
    kept = {"src", "s_port"} if "sorted_after" in SHAPES[name] else set()
    gone = data.draw(st.sets(st.sampled_from(keys))) - kept if SHAPES[name]["record"] != "csv" else set()
    line = written(
        name, [(key, text if n == at else value) for n, (key, value) in enumerate(said) if key not in gone or n == at]
    )
    try:
        seen = FORMATS[name].parse(line, Stream(clock()))
    except Malformed:
        return
    for one in seen:
        assert one.client != ADDRESS, (name, line)
        assert one.user != PERSON, (name, line)
        assert one.device != PERSON, (name, line)
        assert one.flow != PERSON, (name, line)


def one_of(name: str, line: str):
    """Return the one observation of a line."""
    (seen,) = FORMATS[name].parse(line.encode(), Stream(clock()))
    return seen


FORCEPOINT = (
    "CEF:0|Forcepoint|Security|8|1|x|1|rt=1795410820000 src=10.0.0.5 {} requestClientApplication={} request=http://pimeyes.com/"
)


@pytest.mark.parametrize(
    ("own", "agent", "user", "claimed"),
    [
        ("suser=jdoe", "Mozilla suser=chief", "jdoe", None),
        ("suser=jdoe", "Mozilla loginID=chief", "jdoe", None),
        ("suser=-", "Mozilla suser=chief", None, None),
        ("", "Mozilla suser=chief", None, "chief"),
        ("", "Mozilla suser=chief suser=boss", None, None),
        ("suser=jdoe suser=rroe", "Mozilla", None, None),
        ("suser=jdoe", 'Mozilla" suser=chief "', "jdoe", None),
        ("suser=jdoe", "Mozilla suser\\=chief", "jdoe", None),
    ],
)
def test_only_what_stands_ahead_of_a_text_says_who_it_was(own, agent, user, claimed):
    """The user's own field counts whatever the agent says; without one a name is claimed at most, and of two names neither."""
    seen = one_of("forcepoint-cef", FORCEPOINT.format(own, agent))
    assert (seen.client, seen.user, seen.claimed_user, seen.name) == ("10.0.0.5", user, claimed, "pimeyes.com")


def test_a_text_that_the_products_next_field_follows_is_closed():
    """Zscaler writes the client behind the agent; what an agent adds stands between it and the field that follows always."""
    line = (
        "2026-11-23 06:13:40\taction=Allowed\trequestmethod=GET\turlcategory=x\tuseragent=Mozilla{}\tproduct=NSS"
        "\tClientIP=10.0.0.5\tuser=jdoe@example.org\turl=pimeyes.com/"
    )
    seen = one_of("zscaler-web-pairs", line.format(""))
    assert (seen.client, seen.user) == ("10.0.0.5", "jdoe@example.org")
    for planted_text in ("\tuser=a@planted.example", "\tproduct=NSS\tClientIP=10.9.9.9\tuser=a@planted.example"):
        seen = one_of("zscaler-web-pairs", line.format(planted_text))
        assert (seen.client, seen.user, seen.name) == (None, None, "pimeyes.com")


def test_a_text_that_breaks_the_order_of_fields_ends_what_is_believed():
    """Check Point sorts by name, and puts the client behind the URL."""
    line = "time=1795415163|hostname=g|product=URL Filtering|version=5|resource=http://pimeyes.com/a{}|s_port=5|src=10.0.0.5|user=jdoe|"
    seen = one_of("checkpoint-splunk", line.format("|b=c"))
    assert (seen.client, seen.name) == (None, "pimeyes.com")  # a bar of the URL's own: None is no guess
    assert one_of("checkpoint-splunk", line.format("")).client == "10.0.0.5"
    seen = one_of("checkpoint-splunk", line.format("|src_user_name=chief"))
    assert (seen.client, seen.user, seen.claimed_user) == (None, None, "chief")


def test_cells_that_a_text_adds_to_csv_are_nobodys():
    """A URL with quotes in it shifts what stands behind: the address there may be the URL's."""
    cells = [
        "Mon Jun 20 15:29:11 2022",
        "jdoe@example.org",
        "HTTP",
        "pimeyes.com/",
        "Allowed",
        *["1"] * 16,
        "10.0.0.5",
        "1.1.1.1",
    ]
    line = '"' + '","'.join([*cells, "GET", "200", "curl", *["None"] * 8]) + '"'
    seen = one_of("zscaler-web-csv", line)
    assert (seen.client, seen.user) == ("10.0.0.5", "jdoe@example.org")
    shifted = 'pimeyes.com/","Allowed",' + ",".join(['"1"'] * 16) + ',"10.9.9.9","1.1.1.1","GET","200","x'
    seen = one_of("zscaler-web-csv", line.replace("pimeyes.com/", shifted))
    assert (seen.client, seen.user, seen.name) == (None, "jdoe@example.org", "pimeyes.com")


def test_a_key_that_json_has_twice_names_nobody():
    """A writer that pastes texts into JSON lets an agent add a user, and most parsers take the last."""
    line = {"requestdomain": "pimeyes.com", "requestmethod": "GET", "ipaddress": "10.0.0.5", "action": "allow", "email": "jdoe"}
    text = json.dumps({"time": "2026-11-23 06:13:40", **line, "useragent": "x"})
    assert one_of("forcepoint-one-swg", text).user == "jdoe"
    seen = one_of("forcepoint-one-swg", text.replace('"x"', '"x","email":"chief","ipaddress":"10.9.9.9"'))
    assert (seen.client, seen.user, seen.name) == (None, None, "pimeyes.com")
    assert one_of("forcepoint-one-swg", text.replace('"x"', '"x","email":"jdoe"')).user == "jdoe"


def test_a_quoted_text_that_is_cut_goes_to_the_end():
    """A record that a datagram cut short must not let what stood inside of its last text be read as fields."""
    line = 'date=2026-11-23 time=05:34:02 devname="F" logid="1" type="utm" subtype="webfilter" level="notice" srcip=10.0.0.5 '
    seen = one_of("fortigate", line + 'hostname="pimeyes.com" url="/x?a user=chief srcip=10.9.9.9')
    assert (seen.client, seen.user, seen.claimed_user, seen.name) == ("10.0.0.5", None, None, "pimeyes.com")
