"""HTTP/2 frames: requests from header blocks, and no others."""

from __future__ import annotations

import contextlib

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.packets import http2
from sentinel.packets.wire import Undecodable


def frame(kind: int, flags: int, body: bytes) -> bytes:
    """Return a frame of the first stream."""
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + b"\0\0\0\1" + body


def read_all(reader: http2.Frames, stream: bytes) -> None:
    """Go over all whole frames in *stream*."""
    while stream and (step := reader.step(stream)) is not None:
        assert step[0] >= 9
        stream = stream[step[0] :]


def test_a_tunnel_is_told_by_its_target_alone():
    """RFC 9113, section 8.5: CONNECT has neither scheme nor path."""
    request = http2.request_of({":method": "CONNECT", ":authority": "pimeyes.com:443"})
    assert request is not None
    assert (request.host, request.url, request.path) == ("pimeyes.com", "pimeyes.com:443", None)


def test_a_websocket_over_http2_is_a_request():
    """RFC 8441: CONNECT with a protocol has a path."""
    fields = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/chat", ":authority": "a.example"}
    request = http2.request_of(fields)
    assert request is not None
    assert (request.path, request.url) == ("/chat", "http://a.example/chat")


def test_trailers_are_no_request():
    """Fields behind a body name nothing."""
    assert http2.request_of({"grpc-status": "0"}) is None


@pytest.mark.parametrize(
    "frames",
    [
        frame(1, 8, b""),
        frame(1, 4 | 8, b"\xff" + bytes(9)),
        frame(1, 4 | 32, b"abc"),
        frame(1, 0, b"a") + frame(0, 0, b"b"),
        frame(1, 4, b"\xff\xff\xff\xff\xff"),
        b"\x02\0\0\x01\x04\0\0\0\x01",
    ],
    ids=["no padding length", "too much padding", "no priority", "no continuation", "no table", "too long"],
)
def test_frames_that_contradict_themselves_are_refused(frames):
    """The header table is lost then: what follows could name anybody."""
    with pytest.raises(Undecodable):
        read_all(http2.Frames(), frames)


def test_a_header_bomb_is_refused():
    """A few bytes that refer to one long header a thousand times (CVE-2016-6581)."""
    encoder = hpack.Encoder()
    block = encoder.encode([("x", "y" * 4000)])
    reader = http2.Frames()
    assert reader.step(frame(1, 4, block)) == (9 + len(block), None)
    with pytest.raises(Undecodable):
        reader.step(frame(1, 4, bytes([0x80 | 62]) * 5000))


@given(st.binary(max_size=300), st.integers(0, 9), st.integers(0, 255))
def test_any_bytes_give_steps_or_the_declared_error(data, kind, flags):
    """Frames are the sender's to choose; a step always goes on."""
    reader, stream = http2.Frames(), frame(kind, flags, data[:100]) + data[100:]
    http2.begins(stream)
    with contextlib.suppress(Undecodable):
        read_all(reader, stream)
