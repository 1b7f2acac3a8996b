"""CEF: read back by a parser of our own, which knows only the standard's escapes."""

import re

from hypothesis import given

from sentinel.schemas.cef import cef
from sentinel.schemas.text import clean, one_sentence
from tests.schemas.alerts import START, alert, alerts, session


def header_of(event: str) -> list[str]:
    """Return the seven header fields and the extension."""
    fields, field, rest = [], "", iter(event)
    for char in rest:
        if char == "\\":
            field += next(rest)
        elif char == "|" and len(fields) < 7:
            fields.append(field)
            field = ""
            if len(fields) == 7:
                return [*fields, "".join(rest)]
        else:
            field += char
    raise AssertionError("fewer than seven header fields")


def fields_of(extension: str) -> dict[str, str]:
    """Return the extension's fields: a key ends at "=" that no backslash stands before, a value at " nextkey="."""
    starts = list(re.finditer(r"(?:^| )([A-Za-z0-9]+)=", extension))
    found = {}
    for here, after in zip(starts, [*starts[1:], None], strict=True):
        assert here[1] not in found, "a key that appears twice: the receiver keeps one of them"
        raw = extension[here.end() : after.start() if after else None]
        assert re.fullmatch(r"(?:[^\\=]|\\[\\=nr])*", raw), f"a bad escape in {raw!r}"
        found[here[1]] = re.sub(r"\\(.)", r"\1", raw)
    return found


def test_an_alert_fills_the_fields_that_the_standard_names():
    """Receivers map these keys; each cs and cn goes with its label, without which it is useless to them."""
    *header, extension = header_of(cef(alert(), "collector-1").decode())
    assert header[:3] == ["CEF:0", "Sentinel", "Sentinel"]
    assert header[4:] == ["sentinel.session.opened", "Face-search use began", "8"]
    fields = fields_of(extension)
    labels = {fields[key]: fields[key.removesuffix("Label")] for key in fields if key.endswith("Label")}
    assert labels == {
        "stage": "search", "verdict": "unsanctioned", "service": "clearview-ai", "basis": "observed",
        "network": "Detective Bureau", "session": "se_" + "5" * 32, "searches": "3", "uploads": "1", "attempts": "0",
    }  # fmt: skip
    plain = {key: value for key, value in fields.items() if not re.match(r"c[sn]\d", key)}
    millis = int(START.timestamp()) * 1000 + 123
    assert plain == {
        "rt": str(millis + 11000), "start": str(millis), "end": str(millis + 10000), "cnt": "7", "externalId": "al_" + "a" * 32,
        "act": "opened", "cat": "face-search", "dvchost": "collector-1", "src": "192.0.2.7", "shost": "h1.corp.example",
        "suser": "alice", "dhost": "app.clearview.ai", "dst": "203.0.113.9", "spt": "51515", "dpt": "443",
        "request": "https://app.clearview.ai/search?a=b", "requestMethod": "POST", "in": "30000", "out": "0",
        "reason": "POST to the search API", "msg": alert().text,
    }  # fmt: skip


def test_ipv6_goes_to_the_fields_that_take_it():
    """`src` and `dst` take IPv4 alone: a receiver drops what does not parse, and with it who it was."""
    fields = fields_of(header_of(cef(alert(session(client="2001:db8::7"), server="2001:db8::9"), "me").decode())[7])
    assert (fields["c6a2"], fields["c6a2Label"]) == ("2001:db8::7", "Source IPv6 Address")
    assert (fields["c6a3"], fields["c6a3Label"]) == ("2001:db8::9", "Destination IPv6 Address")
    assert "src" not in fields
    assert "dst" not in fields


def test_several_hosts_are_nobodys_destination():
    """One of them, picked, would be a guess."""
    assert "dhost" not in fields_of(header_of(cef(alert(session(names=("a.ai", "b.ai")), url=None), "me").decode())[7])


@given(alerts)
def test_what_people_chose_comes_back_and_forges_nothing(made):
    """A user name with `|`, `=`, line breaks or ` src=` in it stays a user name."""
    event = cef(made, "me").decode()
    assert event.isprintable()
    *header, extension = header_of(event)
    assert len(header) == 7
    fields = fields_of(extension)
    assert fields["externalId"] == made.id
    assert fields.get("msg", "") == one_sentence(made).strip(" ")
    if made.session:
        assert fields.get("suser", "") == clean(made.session.user or "").strip(" ")
        assert fields["cs6"] == made.session.id
