"""PAN-OS: columns by version, one session in two records, and which words of decision let an access through."""

from __future__ import annotations

import pytest

from sentinel.formats import panos
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import clock

WHEN = "2026/11/23 06:38:58"
COMMON = (
    f"{WHEN},0123,{{}},1,{WHEN},10.0.0.5,192.0.2.9,,,rule,corp\\alice,,{{}},vsys1,a,b,c,d,e,{WHEN},6613,1,1058,443,0,0,0x0"
    ",tcp,{}"
)


def read(row: str):
    """Return the observations of a record."""
    return panos.parse(f"<14>Nov 23 06:38:59 PA1 1,{row}".encode(), Stream(clock()))


def url(misc: str = '"PimEyes.com/a?b"', action: str = "alert", app: str = "web-browsing", more: str = "") -> str:
    """Return a THREAT url record."""
    return (
        COMMON.format("THREAT,url", app, action) + f",{misc},(9999),any,informational,client-to-server,8,0x8,US,US,0,,0,{more}"
    )


def traffic(subtype: str, more: str = "") -> str:
    """Return a TRAFFIC record: 7 seconds, 100 bytes up, 900 down."""
    return (
        COMMON.format(f"TRAFFIC,{subtype}", "ssl", "allow") + f",1000,100,900,9,2026/11/23 06:38:50,7,any,0,5,0x0,US,US{more}"
    )


def test_a_url():
    """It has no scheme; the user is the one that the firewall mapped; the time is local."""
    (seen,) = read(url())
    assert (seen.kind, seen.name, seen.path, seen.query, seen.server_port) == ("http_request", "pimeyes.com", "/a", "b", 443)
    assert (seen.client, seen.client_port, seen.user, seen.server, seen.flow) == (
        "10.0.0.5",
        1058,
        "corp\\alice",
        "192.0.2.9",
        "6613",
    )
    assert (seen.time.isoformat(), seen.time_text, seen.resolver) == ("2026-11-23T05:38:58+00:00", WHEN, "PA1")
    assert (seen.bytes_up, seen.bytes_down) == (None, None)


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("alert", "allowed"),
        ("allow", "allowed"),
        ("continue", "allowed"),
        ("override", "allowed"),
        ("block-url", "blocked"),
        ("block-continue", "blocked"),
        ("block-override", "blocked"),
        ("deny", "blocked"),
        ("reset-both", "blocked"),
        ("new-word", None),
    ],
)
def test_what_was_decided(action, told):
    """A page of warning that was shown is a block; one that was clicked away let the access through."""
    (seen,) = read(url(action=action))
    assert seen.action == told


@pytest.mark.parametrize(
    ("app", "kind"), [("ssl", "tls_client_hello"), ("quic", "quic_client_hello"), ("google-base", "http_request")]
)
def test_without_decryption_the_url_is_the_hellos_name(app, kind):
    """A contact must not be told as a page that was visited."""
    (seen,) = read(url('"pimeyes.com/"', app=app))
    assert (seen.kind, seen.name) == (kind, "pimeyes.com")
    assert seen.path == ("/" if kind == "http_request" else None)


def test_a_comma_in_an_unquoted_url_of_an_old_version():
    """The columns behind it are counted from the direction, not from the start."""
    (seen,) = read(url("pimeyes.com/a,b,c"))
    assert (seen.name, seen.path) == ("pimeyes.com", "/a,b,c")


def test_later_versions_append_the_agent_the_method_and_the_zone():
    """Known columns keep their place; a time with its zone tells how local the others are."""
    behind = ",,,1,Mozilla,,,,,,,,0,0,0,0,,PA1,,,,get," + "," * 20 + "2026-11-23T06:38:58.123-05:00,,"
    row = url().rsplit(",", 4)[0] + ",0,,0" + behind
    (seen,) = read(row)
    assert seen.time.isoformat() == "2026-11-23T11:38:58+00:00"


def test_a_session_is_one_access_in_two_records():
    """`flow` joins them; only the end counts bytes, and begins where the session did."""
    (start,), (end,) = read(traffic("start")), read(traffic("end"))
    assert start.flow == end.flow == "6613"
    assert (start.bytes_up, start.bytes_down, start.duration) == (None, None, None)
    assert (end.bytes_up, end.bytes_down, end.duration) == (100, 900, 7.0)
    assert end.time.isoformat() == "2026-11-23T05:38:50+00:00"


@pytest.mark.parametrize("kind", ["THREAT,spyware", "THREAT,vulnerability", "SYSTEM,general", "CONFIG,0", "USERID,login"])
def test_other_records_tell_of_no_access(kind):
    """A threat found in an answer may name its sides the other way round, and repeats an access that is told elsewhere."""
    assert read(url().replace("THREAT,url", kind)) == ()


@pytest.mark.parametrize(
    "before",
    [
        "",
        "1,",
        "Nov 23 06:38:59 relay Nov 23 06:38:58 PA1 1,",
        "<14> Mar 09 08:15:42 pa01 1,",
        "2026-11-23T06:38:59+01:00 PA1 1,",
    ],
)
def test_whatever_relays_put_before_it(before):
    """One header, two, none, and the first column lost."""
    assert panos.recognise([(before + url()).encode()]) == 1.0
    (seen,) = panos.parse((before + url()).encode(), Stream(clock()))
    assert seen.client == "10.0.0.5"


@pytest.mark.parametrize(
    "row",
    [
        "x",
        traffic("end").rpartition(",7,")[0],
        url().partition(",(9999)")[0],
        url().replace("11/23", "13/33"),
        f"{WHEN},1,THREAT,url",
    ],
)
def test_another_shape_is_malformed(row):
    """A datagram that was cut is counted."""
    with pytest.raises(Malformed):
        read(row)
