"""How syslog and RELP streams come apart: every way of counting, whatever the pieces they arrive in, and what is too long."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.sources.framing import Desynchronised, Frame, RelpFraming, SyslogFraming

MESSAGES = [b"<13>Nov 23 06:13:40 host app: one", b"<13>1 2026-11-23T06:13:40Z host app - - - two  words", b"<13>three"]


def pieces(stream, cuts):
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[begin:end] for begin, end in itertools.pairwise(edges)]


def fed(framing, stream, cuts=()):
    found = [message for piece in pieces(stream, cuts) for message in framing.feed(piece)]
    return found + (framing.end() if isinstance(framing, SyslogFraming) else [])


@given(st.lists(st.integers(0, 500), max_size=20))
def test_both_framings_are_told_apart_and_read_in_any_pieces(cuts):
    """A sender says nowhere how it counts, and TCP cuts where it likes."""
    counted = b"".join(b"%d %b" % (len(message), message) for message in MESSAGES)
    lines = b"".join(message + b"\n" for message in MESSAGES)
    assert fed(SyslogFraming(1000), counted, cuts) == MESSAGES
    assert fed(SyslogFraming(1000), lines, cuts) == MESSAGES
    assert fed(SyslogFraming(1000), lines.replace(b"\n", b"\r\n"), cuts) == MESSAGES
    assert fed(SyslogFraming(1000), lines.replace(b"\n", b"\0"), cuts) == MESSAGES
    assert fed(SyslogFraming(1000), lines[:-1], cuts) == MESSAGES, "the last line may lack its end"


def test_a_line_that_begins_with_a_number_is_no_count():
    """Squid's lines begin with the time, and some forwarders put no header before them."""
    line = b"1795411169.935  3 10.0.0.1 TCP_MISS/200 374 GET https://pimeyes.com/ - HIER_DIRECT/192.0.2.9 text/html"
    assert fed(SyslogFraming(1000), line + b"\n123 4 5\n", [3]) == [line, b"123 4 5"]


def test_a_message_of_several_lines_is_one_record():
    """Counted octets may contain line ends; records must not."""
    assert fed(SyslogFraming(1000), b"12 <1>one\n two\n") == [b"<1>one  two"]


@given(st.lists(st.integers(0, 500), max_size=20))
def test_what_is_too_long_is_refused_and_the_next_message_is_read(cuts):
    """A flood of bytes without an end must not fill the memory, nor cost more than itself."""
    long = b"<13>" + bytes(b"x" * 200)
    counted = b"%d %b" % (len(long), long) + b"6 <1>abc"
    for stream in (counted, long + b"\n<1>abc\n"):
        framing = SyslogFraming(100)
        assert fed(framing, stream, cuts) == [b"<1>abc"]
        assert framing.refused == 1


def test_a_cut_message_is_refused():
    """Half a record would be read as a whole one."""
    framing = SyslogFraming(100)
    assert fed(framing, b"6 <1>abc20 <1>ab") == [b"<1>abc"]
    assert framing.refused == 1


def test_a_wrong_count_is_told():
    """Behind it nothing can be believed."""
    with pytest.raises(Desynchronised):
        SyslogFraming(100).feed(b"6 <1>abc<1>def")


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_give_messages_or_the_one_error(stream):
    """What strangers send never does more harm than its own connection's end."""
    framing, relp = SyslogFraming(50), RelpFraming(50)
    try:
        for piece in stream:
            assert all(message and b"\n" not in message and len(message) <= 50 for message in framing.feed(piece))
        framing.end()
    except Desynchronised:
        pass
    try:
        for piece in stream:
            assert all(frame.data is None or len(frame.data) <= 50 for frame in relp.feed(piece))
    except Desynchronised:
        pass


@given(st.lists(st.integers(0, 500), max_size=20))
def test_relp_frames_in_any_pieces(cuts):
    """Data may hold line ends and anything else; its length is told."""
    stream = b"1 open 9 a=1\nb=2\n\n\n2 syslog 6 <1>abc\n3 syslog 200 " + bytes(200) + b"\n4 close 0\n"
    assert fed(RelpFraming(100), stream, cuts) == [
        Frame(1, "open", b"a=1\nb=2\n\n"),
        Frame(2, "syslog", b"<1>abc"),
        Frame(3, "syslog", None),
        Frame(4, "close", b""),
    ]


@pytest.mark.parametrize("stream", [b"GET / HTTP/1.1\r\n", b"1 syslog 3 abcd\n", b"x" * 100])
def test_what_is_no_relp_is_told(stream):
    """Somebody points a browser or plain syslog at the port."""
    with pytest.raises(Desynchronised):
        RelpFraming(100).feed(stream)
