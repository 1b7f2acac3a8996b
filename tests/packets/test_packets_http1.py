"""HTTP/1 requests: whom they ask, and what is no request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.packets import http1


def test_a_request_tells_host_path_query_agent_and_length():
    """All that an indicator for a URL looks at."""
    head = b"POST /api/upload_pic?x=1 HTTP/1.1\r\nHost: FaceCheck.ID:80\r\nUser-Agent: curl/8\r\nContent-Length: 300000\r\n\r\n"
    read = http1.read(head)
    assert read is not None
    assert (read.host, read.path, read.query, read.user_agent, read.length) == (
        "facecheck.id",
        "/api/upload_pic",
        "x=1",
        "curl/8",
        300000,
    )


def test_the_absolute_target_outranks_host():
    """RFC 9112, section 3.2.2; the other name is kept beside it."""
    read = http1.read(b"GET http://u@pimeyes.com:8080/en HTTP/1.1\r\nHost: intranet.example\r\n\r\n")
    assert read is not None
    assert (read.host, read.also, read.path) == ("pimeyes.com", "intranet.example", "/en")


@pytest.mark.parametrize("length", range(60))
def test_a_cut_head_gives_its_whole_host_or_none(length):
    """The last line may be cut, and is not believed."""
    head = b"GET / HTTP/1.1\r\nHost: app.lenso.ai\r\nAccept: text/html\r\n\r\n"[:length]
    read = http1.read(head, whole=False)
    assert read is None or read.host in (None, "app.lenso.ai")


@pytest.mark.parametrize(
    ("segment", "alone"),
    [
        (b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a.exam", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nbody", True),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nbody", False),
        (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\n\r\nrest", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
    ],
)
def test_a_segment_out_of_nowhere_is_a_request_only_when_it_is_one_and_no_more(segment, alone):
    """Behind a gap nothing tells a request from an upload that tells of some; clients wait for an answer, logs do not."""
    assert http1.stands_alone(segment) is alone


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_give_a_request_or_none(data, whole):
    """No error, whatever is sent to port 80."""
    for start in (b"", b"GET / HTTP/1.1\r\nHost: ", b"GET http://[", b"CONNECT "):
        http1.read(start + data, whole=whole)
        http1.begins(start + data)
        http1.stands_alone(start + data)
        http1.chunk(start + data)
