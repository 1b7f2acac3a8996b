"""Frame Streams, the container that dnstap comes in: frames behind their lengths, and control frames between them.

    00000000 00000022 00000002 00000001 00000016 protobuf:dnstap.Dnstap      START
    00000051 …                                                              a frame of 81 bytes
    00000000 00000004 00000003                                              STOP

Reference: https://farsightsec.github.io/fstrm/ (fstrm/control.h)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sentinel.sources.framing import Desynchronised

ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
LONGEST_CONTROL = 512
_CONTENT_FIELD = 1
_LENGTH = struct.Struct(">I")

Piece = tuple[int, int | None, bytes]
"""Where a frame's length stands, the kind of a control frame (None: of data), and a frame's data (of a control frame: none)."""


def begins_so(head: bytes) -> bool:
    """Return whether a file with this beginning (40 bytes or more) holds dnstap frames."""
    return head.startswith(b"\0\0\0\0\0\0") and head[8:12] == _LENGTH.pack(START) and head[20:42] == CONTENT_TYPE


def control(kind: int, content_type: bytes | None = None) -> bytes:
    """Return a control frame."""
    body = _LENGTH.pack(kind)
    if content_type is not None:
        body += _LENGTH.pack(_CONTENT_FIELD) + _LENGTH.pack(len(content_type)) + content_type
    return _LENGTH.pack(0) + _LENGTH.pack(len(body)) + body


class FrameStream:
    """Takes a stream apart into frames. `refused` counts data frames that were longer than *most* bytes."""

    def __init__(self, most: int) -> None:
        """Begin at the stream's beginning."""
        self._most = most
        self._rest = b""
        self._skip = 0
        self.refused = 0
        self.offset = 0  # of the first byte that no frame was made of yet

    @property
    def broken_off(self) -> bool:
        """Whether the stream, if it ends here, ends inside a frame."""
        return bool(self._rest or self._skip)

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield the frames that are complete with *data*.

        Raises:
            Desynchronised: A control frame that is none, or one of another content than dnstap.
        """
        data = self._rest + data if self._rest else data
        self._rest = b""
        at = min(self._skip, len(data))
        self._skip -= at
        base = self.offset
        try:
            while len(data) - at >= 4:
                (size,) = _LENGTH.unpack_from(data, at)
                if size == 0:
                    end = self._control_end(data, at)
                    if end is None:
                        return
                    yield base + at, _kind(data[at + 8 : end]), b""
                elif size > self._most:
                    self.refused += 1
                    end = at + 4 + size
                    self._skip = max(0, end - len(data))
                    end = min(end, len(data))
                else:
                    end = at + 4 + size
                    if end > len(data):
                        return
                    yield base + at, None, data[at + 4 : end]
                at = end
        finally:
            self._rest = data[at:]
            self.offset = base + at

    def _control_end(self, data: bytes, at: int) -> int | None:
        """Return where the control frame at *at* ends, None when that has not come yet."""
        if len(data) - at < 8:
            return None
        (size,) = _LENGTH.unpack_from(data, at + 4)
        if not 4 <= size <= LONGEST_CONTROL:
            raise Desynchronised("a control frame of an impossible length")
        end = at + 8 + int(size)
        return end if end <= len(data) else None


def _kind(body: bytes) -> int:
    """Return the kind of a control frame.

    Raises:
        Desynchronised: The stream begins, and dnstap is not among the contents that it names.
    """
    (kind,) = _LENGTH.unpack_from(body)
    if kind in (READY, START) and len(body) > 4 and CONTENT_TYPE not in _contents(body[4:]):
        raise Desynchronised("the stream does not hold dnstap")
    return int(kind)


def _contents(fields: bytes) -> list[bytes]:
    found, at = [], 0
    while at + 8 <= len(fields):
        kind, size = struct.unpack_from(">II", fields, at)
        if kind == _CONTENT_FIELD:
            found.append(fields[at + 8 : at + 8 + size])
        at += 8 + size
    return found
