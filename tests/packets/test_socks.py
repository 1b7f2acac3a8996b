"""SOCKS: whole requests, nothing guessed from half of one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.packets import socks
from sentinel.packets.wire import Undecodable

REQUESTS = [
    (b"\x05\x01\0\x03\x0bpimeyes.com\x01\xbb", "pimeyes.com", 443),
    (b"\x05\x01\0\x01\xcb\0\x71\x09\0\x50", "203.0.113.9", 80),
    (b"\x05\x01\0\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x09\0\x50", "2001:db8::9", 80),
    (b"\x04\x01\x01\xbb\0\0\0\x05bob\0pimeyes.com\0", "pimeyes.com", 443),
    (b"\x04\x01\x01\xbb\xcb\0\x71\x09\0", "203.0.113.9", 443),
]


@pytest.mark.parametrize(("stream", "host", "port"), REQUESTS)
def test_a_request_is_read_once_it_is_whole(stream, host, port):
    """Segments end anywhere; what follows the request is the tunnel's."""
    for length in range(1, len(stream)):
        assert socks.request(stream[:length]) is None
    asked = socks.request(stream + b"\x16\x03")
    assert asked is not None
    assert (asked.host, asked.port, asked.size) == (host, port, len(stream))


@pytest.mark.parametrize(
    "stream", [b"\x05\x04\0\x03\x01", b"\x05\x01\x01\x03\x01", b"\x05\x01\0\x07\x01", b"\x04\x02" + bytes(9)]
)
def test_what_is_no_request_is_refused(stream):
    """Other protocols begin with these bytes as well."""
    with pytest.raises(Undecodable):
        socks.request(stream)


def test_odd_bytes_in_a_name_are_written_out():
    """A zero byte or a blank would make another name of it."""
    asked = socks.request(b"\x05\x01\0\x03\x05a\0 .b\0\x50")
    assert asked is not None
    assert asked.host == r"a\000\032.b"


@given(
    st.binary(max_size=600), st.sampled_from([b"", b"\x04\x01", b"\x05\x01\0\x03", b"\x01\x05", b"\x04\x01\0\x50\0\0\0\x01"])
)
def test_any_bytes_give_a_message_or_the_declared_error(data, start):
    """Any client may send anything to any port, and a message is never longer than its stream."""
    stream = start + data
    if not stream:
        return
    socks.begins(stream)
    socks.is_request(stream)
    try:
        asked = socks.message(stream)
    except Undecodable:
        return
    assert asked is None or 0 < asked.size <= len(stream)
