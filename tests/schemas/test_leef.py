"""LEEF: read back by a parser that knows only the format's own rules."""

from hypothesis import given

from sentinel.schemas.leef import leef
from sentinel.schemas.text import clean
from tests.schemas.alerts import START, alert, alerts, session

KNOWN = frozenset(
    [
        "cat",
        "devTime",
        "sev",
        "src",
        "dst",
        "srcPort",
        "dstPort",
        "usrName",
        "identSrc",
        "identHostName",
        "srcBytes",
        "dstBytes",
        "url",
    ]
)
"""Attributes of the LEEF guide that are used; all others are ours, which QRadar takes as custom properties."""


def parsed(line: bytes) -> tuple[list[str], dict[str, str]]:
    """Return the header's fields and the attributes: the sixth field of the header is the delimiter between them."""
    *header, delimiter, body = line.decode().split("|", 6)
    assert (len(header), delimiter) == (5, "^")
    pairs = [pair.split("=", 1) for pair in body.split(delimiter)]
    found = dict(pairs)
    assert len(found) == len(pairs), "a key that appears twice: QRadar keeps the first"
    return header, found


def test_an_alert_fills_the_attributes_that_qradar_knows():
    """Who, where from, where to and how bad need no custom property."""
    header, found = parsed(leef(alert(), "collector-1"))
    assert (header[:3], header[4]) == (["LEEF:2.0", "Sentinel", "Sentinel"], "sentinel.session.opened")
    known = {key: value for key, value in found.items() if key in KNOWN}
    millis = int(START.timestamp()) * 1000 + 123
    assert known == {
        "cat": "face-search", "devTime": str(millis + 11000), "sev": "8", "src": "192.0.2.7", "dst": "203.0.113.9",
        "srcPort": "51515", "dstPort": "443", "usrName": "alice", "identSrc": "192.0.2.7",
        "identHostName": "h1.corp.example", "srcBytes": "30000", "dstBytes": "0",
        "url": "https://app.clearview.ai/search?a=b",
    }  # fmt: skip
    assert (found["eventId"], found["session"], found["stage"]) == ("al_" + "a" * 32, "se_" + "5" * 32, "search")


def test_a_device_without_an_address_is_no_identity():
    """QRadar takes `identHostName` only together with `identSrc`, and drops the event's identity otherwise."""
    _header, found = parsed(leef(alert(session(client=None)), "me"))
    assert "identSrc" not in found
    assert "identHostName" not in found


@given(alerts)
def test_what_people_chose_forges_no_attribute(made):
    """LEEF has no escapes: a delimiter in a user's name must not begin another key."""
    line = leef(made, "me")
    assert line.decode().isprintable()
    _header, found = parsed(line)
    assert found["eventId"] == made.id
    assert 1 <= int(found["sev"]) <= 10
    if made.session:
        written = clean(made.session.user or "").replace("|", " ").replace("^", " ").strip()
        assert found.get("usrName", "") == written
