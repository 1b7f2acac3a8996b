"""HTTP/2 without TLS, with prior knowledge or after an upgrade: the requests in a client's frames.

References: RFC 9113 sections 3.3, 4, 6.2, 6.10 and 8.3; header compression RFC 7541, by the library hpack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel.observation import host_of
from sentinel.packets.http1 import Request
from sentinel.packets.wire import Undecodable

if TYPE_CHECKING:
    from hpack import Decoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = 9
HEADERS, CONTINUATION = 1, 9
END_HEADERS, PADDED, PRIORITY = 4, 8, 32
LARGEST_BLOCK = 64 * 1024
LARGEST_TABLE = 64 * 1024
"""A client may use as much as its server allows, and browsers' servers allow this at the most."""


def begins(stream: bytes | bytearray) -> bool | None:
    """Return whether *stream* begins with a client's preface; None when there are too few bytes to tell."""
    if stream.startswith(PREFACE):
        return True
    return None if PREFACE.startswith(bytes(stream[: len(PREFACE)])) else False


class Frames:
    """Reads the frames of one client's connection, from behind the preface."""

    def __init__(self) -> None:
        """Start with an empty header table, as every connection does."""
        from hpack import Decoder  # few captures hold HTTP/2 in the clear

        self._table: Decoder = Decoder(max_header_list_size=LARGEST_BLOCK)
        self._table.max_allowed_table_size = LARGEST_TABLE
        self._block = bytearray()
        self._unfinished = False

    def step(self, stream: bytes | bytearray) -> tuple[int, Request | None] | None:
        """Return over how many bytes the frame at the start of *stream* goes, and the request that it completes.

        None while what is needed of the frame has not come in; of data, nothing is needed.

        Raises:
            Undecodable: These are no frames, or the header table was lost.
        """
        if len(stream) < HEADER:
            return None
        size, kind, flags = int.from_bytes(stream[:3], "big"), stream[3], stream[4]
        if self._unfinished and kind != CONTINUATION:
            raise Undecodable("an HTTP/2 header block without an end")
        if kind not in (HEADERS, CONTINUATION):
            return HEADER + size, None
        if len(self._block) + size > LARGEST_BLOCK:
            raise Undecodable("an HTTP/2 header block longer than we care for")
        if len(stream) < HEADER + size:
            return None
        body = bytes(stream[HEADER : HEADER + size])
        self._block += body if kind == CONTINUATION else _fragment(body, flags)
        self._unfinished = not flags & END_HEADERS
        return HEADER + size, None if self._unfinished else self._request()

    def _request(self) -> Request | None:
        from hpack import HPACKError

        try:
            fields = self._table.decode(bytes(self._block), raw=True)
        except HPACKError as error:
            raise Undecodable("an HTTP/2 header block that does not come apart") from error
        finally:
            self._block.clear()
        told: dict[str, str] = {}
        for field in fields:
            told.setdefault(field[0].decode("latin-1"), field[1].decode("utf-8", "backslashreplace"))
        return request_of(told)


def request_of(fields: dict[str, str]) -> Request | None:
    """Return the request that header fields, names in lower case, make up; None for trailers."""
    method = fields.get(":method")
    if method is None:
        return None
    authority = fields.get(":authority") or fields.get("host") or ""
    host, also = host_of(authority), host_of(fields.get("host", ""))
    target = fields.get(":path", authority)
    path, _, query = target.partition("?")
    length = fields.get("content-length", "")
    tunnel = method == "CONNECT" and ":protocol" not in fields
    return Request(
        method=method,
        target=target,
        host=host,
        also=also if also != host else None,
        url=authority if tunnel else f"{fields.get(':scheme', 'http')}://{authority}{target}" if authority else target,
        path=None if tunnel else path,
        query=None if tunnel else query or None,
        user_agent=fields.get("user-agent"),
        length=int(length) if length.isascii() and length.isdecimal() and len(length) < 19 else None,
        chunked=False,
    )


def _fragment(body: bytes, flags: int) -> bytes:
    begin, end = 0, len(body)
    if flags & PADDED:
        if not body:
            raise Undecodable("an HTTP/2 frame shorter than its padding")
        begin, end = 1, end - body[0]
    if flags & PRIORITY:
        begin += 5
    if begin > end:
        raise Undecodable("an HTTP/2 frame shorter than its padding")
    return body[begin:end]
