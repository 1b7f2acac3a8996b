"""The engine of mappings: what it holds for every product alike, and what it says of a mapping with mistakes."""

from __future__ import annotations

import json

import pytest

from sentinel.formats import FORMATS, mapping
from sentinel.formats.detect import detect
from sentinel.formats.format import Malformed, Stream
from sentinel.formats.mapping.bundle import bundled
from sentinel.formats.mapping.file import load_mapping, load_mappings
from sentinel.formats.mapping.mapped import Mapped
from sentinel.problems import Problems
from tests.formats.samples import clock

OWN = """
schema: 1
name: own-proxy
title: Our own proxy
reference: https://wiki.example/proxy
record: json
recognise: {has: [when, who, ip]}
time: {from: when, zone: UTC}
fields:
  source.ip: ip
  user.name: who
  url.original: url
  http.request.method: verb
  http.response.status_code: status
action: {from: result, blocked: ["no*"], allowed: [ok, "*"]}
observations:
  - kind: http_request
"""


@pytest.fixture
def own(tmp_path):
    """A mapping of the user's, in force while the test runs."""
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    mapping.register([load_mapping(path)], "command")
    yield FORMATS["own-proxy"]
    mapping.register([], "command")


def record(**said) -> bytes:
    return json.dumps({"when": "2026-11-23 05:13:40", "who": "jdoe", "ip": "10.0.0.5"} | said).encode()


def read(log_format, line):
    (seen,) = log_format.parse(line, Stream(clock()))
    return seen


def test_the_bundle_is_the_mappings_as_they_stand():
    """It is what is read at start; whoever changes a mapping runs python -m sentinel.formats.mapping.bundle."""
    assert mapping.BUNDLE.read_text(encoding="utf-8") == bundled()


def test_a_connect_is_a_tunnel_to_its_authority(own):
    """Of what goes through a tunnel nothing is known: neither a path nor a visit."""
    seen = read(own, record(verb="CONNECT", url="pimeyes.com:8443", status=200))
    assert (seen.kind, seen.name, seen.server_port, seen.path) == ("proxy_connect", "pimeyes.com", 8443, None)


def test_a_user_who_was_asked_to_log_in_is_only_claimed(own):
    """The name that came with the request may belong to a wrong password."""
    seen = read(own, record(verb="GET", url="http://pimeyes.com/", status=407))
    assert (seen.user, seen.claimed_user, seen.action) == (None, "jdoe", "challenged")


def test_what_was_refused_is_asked_for_first(own):
    """A word that fits both must not make an attempt a visit."""
    assert read(own, record(url="http://pimeyes.com/", result="no entry")).action == "blocked"
    assert read(own, record(url="http://pimeyes.com/", result="sure")).action == "allowed"


@pytest.mark.parametrize(
    ("url", "name", "path"),
    [
        ("pimeyes.com/en?a=b", "pimeyes.com", "/en"),
        ("https://user@PimEyes.com:443", "pimeyes.com", "/"),
        ("tunnel://pimeyes.com:443/", "pimeyes.com", "/"),
        ("/only/a/path", None, "/only/a/path"),
        ("error:transaction-end-before-headers", None, None),
    ],
)
def test_a_url_comes_apart_with_or_without_a_scheme(own, url, name, path):
    """Products write the host, the whole URL or the path only; what is no URL names no host."""
    seen = read(own, record(url=url))
    assert (seen.name, seen.path) == (name, path)


def test_the_users_mapping_comes_before_a_built_in_one(tmp_path):
    """Who describes a log of their own knows it better; taken back, the built-in one reads it again."""
    path = tmp_path / "mine.yaml"
    path.write_text(OWN.replace("own-proxy", "mine").replace("has: [when, who, ip]", "has: [T, QH, QT, QC, IP]"))
    line = b'{"T":"2026-11-23T06:13:40Z","QH":"a.example","QT":"A","QC":"IN","IP":"10.0.0.5"}'
    mapping.register([load_mapping(path)], "command")
    assert [found.name for found, _ in detect([line])] == ["mine"]
    mapping.register([], "command")
    assert [found.name for found, _ in detect([line])] == ["adguard-home"]
    assert "mine" not in FORMATS


def test_json_over_several_lines_is_refused_with_words(own):
    """The way to mend it is one command."""
    with pytest.raises(Malformed, match="one a line"):
        own.parse(b'  "x": {', Stream(clock()))


def test_every_mistake_is_told_at_once_with_its_line(tmp_path):
    """One round of mending."""
    path = tmp_path / "bad.yaml"
    path.write_text(OWN.replace("source.ip", "source.pi").replace("zone: UTC", "zone: Berlin").replace("has:", "hass:"))
    with pytest.raises(Problems) as found:
        load_mapping(path)
    told = "\n".join(map(str, found.value.problems))
    assert "bad.yaml:7: unknown key 'hass'" in told
    assert "bad.yaml:8:" in told
    assert "Berlin" in told
    assert "did you mean 'source.ip'?" in told


def test_a_mapping_may_not_take_the_name_of_another_kind_of_format(tmp_path):
    """Records would silently be read by something else than before."""
    (tmp_path / "a.yaml").write_text(OWN.replace("own-proxy", "dnsmasq"))
    with pytest.raises(Problems, match="no mapping"):
        load_mappings([tmp_path])


def test_a_decoded_name_is_searched_for_in_its_spelling(tmp_path):
    """Else the scanner would pass over what the mapping would read."""
    path = tmp_path / "pct.yaml"
    path.write_text(
        OWN.replace("record: json", "record: pairs").replace("url.original: url", "url.original: {from: url, decode: percent}")
    )
    spec = load_mapping(path)
    assert mapping.Lazy(spec, mapping.OWN).log_format().spelling == "percent"
    line = b"when=1795410820 who=jdoe ip=10.0.0.5 url=http://pim%65yes.com/"
    (seen,) = Mapped(spec).parse(line, Stream(clock()))
    assert seen.name == "pimeyes.com"


def test_a_mail_is_told_once_for_each_mailbox(tmp_path):
    """Whoever describes their own gateway's log names senders and recipients, of header and envelope."""
    path = tmp_path / "mail.yaml"
    path.write_text(
        OWN.replace("http_request", "mail")
        .replace("source.ip: ip", 'email.to.address: {from: to, split: ";"}\n  email.from.address: head')
        .replace("user.name: who", "email.sender.address: envelope")
    )
    mapped = Mapped(load_mapping(path))
    line = record(
        head="PimEyes <login@pimeyes.com>", envelope="<b@bounce.pimeyes.com>", to="A@corp.example; b@corp.example;", result="ok"
    )
    seen = mapped.parse(line, Stream(clock()))
    assert [(one.user, one.name, one.names, one.client) for one in seen] == [
        ("a@corp.example", "pimeyes.com", ("bounce.pimeyes.com",), None),
        ("b@corp.example", "pimeyes.com", ("bounce.pimeyes.com",), None),
    ]
