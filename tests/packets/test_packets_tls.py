"""ClientHellos: what they offer, and the fingerprint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.packets import tls
from sentinel.packets.wire import Undecodable
from tests.packets.made_packets import hello, records


def test_ja4_is_what_its_authors_publish():
    """The example of FoxIO's technical details; an analyst looks such a value up elsewhere."""
    ciphers = "1a1a 1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 009c 009d 002f 0035"
    extensions = "0a0a 001b 0000 0033 0010 4469 0017 002d 000d 0005 0023 0012 002b ff01 000b 000a 0015"
    signatures = "0403 0804 0401 0503 0805 0501 0806 0601"
    one = tls.Hello(
        name="example.org",
        version=0x0304,
        ciphers=tuple(int(each, 16) for each in ciphers.split()),
        extensions=[int(each, 16) for each in extensions.split()],
        signatures=tuple(int(each, 16) for each in signatures.split()),
        first_alpn=b"h2",
        whole=True,
    )
    assert tls.ja4(one, "t") == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_a_hello_tells_name_alpn_and_version():
    """What the observation is made of."""
    read = tls.read(hello(b"FaceCheck.ID", alpn=(b"h2", b"http/1.1")))
    assert (read.name, read.alpn, read.version, read.whole) == ("FaceCheck.ID", ("h2", "http/1.1"), 0x0304, True)


def test_a_hello_without_a_name_is_one_all_the_same():
    """Connections by address, and many tools, send none."""
    assert tls.read(hello(None)).name is None


@given(st.integers(0, 400))
def test_the_beginning_of_a_hello_gives_the_whole_name_or_none(length):
    """A snapped packet ends anywhere."""
    assert tls.read(hello(b"app.lenso.ai")[:length]).name in (None, "app.lenso.ai")


@given(st.binary(max_size=400))
@pytest.mark.parametrize("start", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\xff\x01\x00\x00\xfb\x03\x03"])
def test_any_bytes_give_a_hello_or_the_declared_error(start, data):
    """Any client may send anything to any port."""
    try:
        message, whole = tls.handshake(start + data)
        read = tls.read(message)
    except Undecodable:
        return
    assert read.whole == whole


@pytest.mark.parametrize(
    "stream",
    [b"\x17\x03\x03\x00\x10", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\x00\x30\x02\x00\x00\x2c", records(hello())[:9] + b"\xff"],
)
def test_other_records_are_no_hello_or_wait_for_more(stream):
    """A server's hello, data, an empty record: none of them names anybody's destination."""
    try:
        message, whole = tls.handshake(stream)
    except Undecodable:
        return
    assert not whole
    assert tls.read(message).name is None
