"""Squid's lines by any logformat: what is compiled from it, and what a client can and cannot do to a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.config.settings import FileSource
from sentinel.formats import FORMATS, named
from sentinel.formats.format import Malformed, Stream
from sentinel.formats.squid_logformat import COMMON, of_template
from tests.formats.samples import clock

MINE = (
    '%{%Y-%m-%dT%H:%M:%S%z}tl client=%>a cport=%>p user=%[un method=%rm url="%ru" sni=%ssl::>sni status=%>Hs squid=%Ss '
    'hier=%Sh server=%<a up=%>st down=%<st elapsed=%tr ua="%{User-Agent}>h" xff="%{X-Forwarded-For}>h"'
)
LINE = (
    '2026-11-23T06:19:30+0100 client=10.0.0.5 cport=4711 user=alice method=CONNECT url="PimEyes.com:443" sni=- status=200 '
    'squid=TCP_TUNNEL hier=HIER_DIRECT server=203.0.113.9 up=1065 down=1678 elapsed=1500 ua="a \\"b\\" c" xff="-"'
)


def read(template: str, line: str):
    """Return the observations of a line by a logformat."""
    return of_template(template).parse(line.encode(), Stream(clock()))


def test_everything_that_a_line_says():
    """Both directions of bytes, the start instead of the end, the port, the agent without its escapes."""
    (seen,) = read(MINE, LINE)
    assert (seen.kind, seen.name, seen.server, seen.server_port) == ("proxy_connect", "pimeyes.com", "203.0.113.9", 443)
    assert (seen.client, seen.client_port, seen.user, seen.action) == ("10.0.0.5", 4711, "alice", "allowed")
    assert (seen.bytes_up, seen.bytes_down, seen.duration) == (1065, 1678, 1.5)
    assert seen.time.isoformat() == "2026-11-23T05:19:28.500000+00:00"
    assert (seen.time_text, seen.user_agent) == ("2026-11-23T06:19:30+0100", 'a "b" c')


def test_a_challenge_names_a_user_that_was_never_verified():
    """A wrong password prints the name too."""
    (seen,) = read(MINE, LINE.replace("TCP_TUNNEL", "TCP_DENIED").replace("status=200", "status=407"))
    assert (seen.user, seen.claimed_user, seen.action) == (None, "alice", "challenged")


def test_what_ident_says_is_only_claimed():
    """`%un` falls back to it, and the client's own machine answers ident."""
    line = '10.0.0.5 mallory {} [23/Nov/2026:06:19:29 +0100] "CONNECT a.example:443 HTTP/1.1" 200 9 TCP_TUNNEL:HIER_DIRECT'
    (seen,) = read(COMMON, line.format("mallory"))
    assert (seen.user, seen.claimed_user) == (None, "mallory")
    (seen,) = read(COMMON, line.format("alice"))
    assert (seen.user, seen.claimed_user) == ("alice", "mallory")


@pytest.mark.parametrize(
    ("template", "line"),
    [
        (
            "%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt",
            "1795411170.000      5 10.0.0.5 TCP_TUNNEL/200 7 CONNECT a.example:443 - HIER_DIRECT/192.0.2.9 -",
        ),
        ("%tg|%>a|%rm|%ru", "23/Nov/2026:05:19:30 +0000|10.0.0.5|CONNECT|a.example:443"),
        ("%>a %tS %tr %http::rm %>ru", "10.0.0.5 1795411170.000 7 CONNECT a.example:443"),
        ("%{%s}tl %>a %>rs %>rd %>rP %>rp", "1795411170 10.0.0.5 https a.example 443 /x?y=z"),
        ("%{%F %T}tl %>a %ssl::>sni", "2026-11-23 06:19:30 10.0.0.5 a.example"),
        ('{"t":%ts,"c":"%>a","u":"%"ru","m":"%rm"}', '{"t":1795411170,"c":"10.0.0.5","u":"a.example:443","m":"CONNECT"}'),
        ("%-20>a %ts %rm %ru %% done", "10.0.0.5             1795411170 CONNECT a.example:443 % done"),
    ],
)
def test_codes_and_styles(template, line):
    """Widths, arguments before a code, styles, literal percent signs, every way to write a time."""
    (seen,) = read(template, line)
    assert (seen.client, seen.name) == ("10.0.0.5", "a.example")
    assert abs(seen.time.timestamp() - 1795411170) < 0.01


def test_squids_own_mistake_with_half_hour_zones():
    """In Newfoundland `%tl` says "-03-30"; an hour's error would be the other reading."""
    line = '10.0.0.5 - - [23/Nov/2026:02:49:30 -03-30] "GET http://a.example/ HTTP/1.1" 0 0 TCP_MISS_ABORTED:HIER_NONE'
    (seen,) = read(COMMON, line)
    assert seen.time.isoformat() == "2026-11-23T06:19:30+00:00"
    assert seen.status == 0


@pytest.mark.parametrize(
    ("url", "user"),
    [
        ("http://a.example/x HTTP/1.1", "-"),
        ('http://a.example/" 200 9 TCP_DENIED:HIER_NONE', "-"),
        ("http://a.example/", "j%c3%bcrg m%c3%bcller"),
        ("http://a.example/", "corp\\\\bob"),
    ],
)
def test_a_client_cannot_move_the_columns(url, user):
    """What is asked for and who asks may hold anything; status, result and client stay where Squid wrote them."""
    line = f'10.0.0.5 - {user} [23/Nov/2026:06:19:29 +0100] "GET {url} HTTP/1.1" 403 7 TCP_DENIED:HIER_NONE'
    (seen,) = read(COMMON, line)
    assert (seen.client, seen.name, seen.status, seen.action, seen.bytes_down) == ("10.0.0.5", "a.example", 403, "blocked", 7)
    assert seen.user == {"-": None, "corp\\\\bob": "corp\\bob"}.get(user, "jürg müller")


def test_an_unescaped_quote_in_the_agent_of_the_built_in_combined():
    """Squid writes it as it came; the result stands behind it all the same."""
    line = (
        '10.0.0.5 - - [23/Nov/2026:06:19:29 +0100] "GET http://a.example/ HTTP/1.1" 200 374 "-" "M (X) "q" TCP_DENIED:NONE z" '
        "TCP_MISS:HIER_DIRECT"
    )
    (seen,) = FORMATS["squid-combined"].parse(line.encode(), Stream(clock()))
    assert (seen.user_agent, seen.action) == ('M (X) "q" TCP_DENIED:NONE z', "allowed")


@pytest.mark.parametrize(
    "asked", ["- error:transaction-end-before-headers NONE/0.0", "- :443 HTTP/1.1", "GARBAGE error:invalid-request HTTP/1.1"]
)
def test_what_reached_no_site_tells_of_no_access(asked):
    """The line is well formed all the same."""
    line = f'10.0.0.5 - - [23/Nov/2026:06:19:29 +0100] "{asked}" 400 0 NONE_NONE:HIER_NONE'
    assert read(COMMON, line) == ()


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("%ts %>a", "names no site"),
        ("%ts %ru", "who asked"),
        ("%ts %>a %ru %nosuch", "no code of Squid's"),
        ("%ts %>a %ru%un", "side by side"),
        ("%{%Q}tl %>a %ru", "cannot be read back"),
        ("100% %>a %ru", "no code of Squid's"),
    ],
)
def test_a_logformat_that_cannot_be_read_back_says_why(template, why):
    """At start-up, not after a month of lines that nobody could read."""
    with pytest.raises(ValueError, match=why):
        of_template(template)


def test_a_line_by_another_logformat_is_malformed():
    """It is counted, and nothing is guessed."""
    with pytest.raises(Malformed, match="logformat"):
        read(MINE, "1795411170.000      5 10.0.0.5 TCP_TUNNEL/200 7 CONNECT a.example:443 - HIER_DIRECT/192.0.2.9 -")


@given(
    st.lists(
        st.sampled_from(["%ts", "%>a", "%ru", "%rm", "%[un", "%Ss", "%{A}>h", '"', " ", "|", "%%", "x", '%"ru', "%tl", "%"]),
        max_size=12,
    )
)
def test_any_logformat_is_compiled_or_refused(parts):
    """Whatever a person writes, the answer is a format or the reason why not; and any line of it is read or malformed."""
    try:
        made = of_template("".join(parts))
    except ValueError:
        return
    for line in (b"", b'"' * 50, b" " * 50, b"1 " * 20, b"|" * 40):
        try:
            made.parse(line, Stream(clock()))
        except Malformed:
            continue


def test_the_settings_give_the_logformat():
    """It is compiled when the settings are read, and a mistake in it is told then."""
    source = FileSource(type="file", path="x", format="squid", logformat=MINE)
    (seen,) = named(source.reads_as).parse(LINE.encode(), Stream(clock()))
    assert seen.name == "pimeyes.com"
    for wrong in ({"format": "squid"}, {"logformat": MINE}, {"format": "squid", "logformat": "%ts %nosuch"}):
        with pytest.raises(ValueError, match=r"go together|no code"):
            FileSource(type="file", path="x", **wrong)
    assert named("nosuch") is None is named("nosuch:x")
