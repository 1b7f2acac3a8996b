"""HTTP/1 requests: who asks which host for what.

Reference: RFC 9112. A request target in absolute form (what browsers send to proxies) outranks Host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sentinel.observation import host_of

METHODS = (
    b"GET ", b"POST ", b"HEAD ", b"PUT ", b"CONNECT ", b"OPTIONS ", b"DELETE ", b"PATCH ", b"TRACE ", b"PROPFIND ", b"REPORT ",
    b"MKCOL ", b"COPY ", b"MOVE ", b"LOCK ", b"UNLOCK ", b"PROPPATCH ", b"SEARCH ",
)  # fmt: skip
STARTS = frozenset(method[0] for method in METHODS)
LARGEST_HEAD = 32 * 1024

_LINE = re.compile(rb"([A-Z]+) ([^\x00-\x20\x7f]+) HTTP/1\.[01]\r?\Z")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)([^?#]*)\??([^#]*)", re.ASCII)
_HEAD_ENDS = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Request:
    """One request's head. Hosts as `host_of` gives them; `length` is the body's in bytes, None when not told."""

    method: str
    target: str
    host: str | None  # who is asked: of the absolute target or CONNECT, else of Host
    also: str | None  # Host, where it names another one
    url: str
    path: str | None
    query: str | None
    user_agent: str | None
    length: int | None
    chunked: bool


def begins(stream: bytes | bytearray) -> bool | None:
    """Return whether *stream* begins with a request; None when there are too few bytes to tell."""
    start = bytes(stream[:10])
    if start.startswith(METHODS):
        return True
    return None if any(method.startswith(start) for method in METHODS) else False


def stands_alone(segment: bytes) -> bool:
    """Return whether a segment of unknown origin can be what a client sends of one request: a head, or more of it to come.

    Several heads in one segment are more likely the middle of an upload that tells of requests, such as a server's log: clients
    do not send a request before the last one was answered.
    """
    if not begins(segment):
        return False
    end = head_end(segment)
    if end is None or end == len(segment):
        return True
    request = read(segment[:end])
    return request is not None and (request.chunked or (request.length or 0) >= len(segment) - end)


def head_end(stream: bytes | bytearray) -> int | None:
    """Return where the head of the request at the start of *stream* ends; None when it has not come in whole."""
    found = _HEAD_ENDS.search(stream)
    return found.end() if found else None


def read(head: bytes, *, whole: bool = True) -> Request | None:
    """Read a request's head; None when it is none. Unless *whole*, its last line may be cut and is not believed."""
    lines = head.split(b"\n")
    if not whole:
        lines.pop()
    line = _LINE.match(lines[0]) if lines else None
    if line is None:
        return None
    method, target = line[1].decode("ascii"), line[2].decode("utf-8", "backslashreplace")
    fields = _fields(lines[1:])
    named = fields.get("host")
    hosts, length, chunked = host_of(named or ""), fields.get("content-length"), _is_chunked(fields)
    agent = fields.get("user-agent")
    size = int(length) if length and length.isascii() and length.isdecimal() and len(length) < 19 and not chunked else None
    if method == "CONNECT":
        return Request(
            method, target, host_of(target), _other(hosts, host_of(target)), target, None, None, agent, size, chunked
        )
    absolute = _ABSOLUTE.match(target)
    if absolute:
        host = host_of(absolute[1])
        return Request(
            method, target, host, _other(hosts, host), target, absolute[2] or "/", absolute[3] or None, agent, size, chunked
        )
    path, _, query = target.partition("?")
    url = f"http://{named}{target}" if named else target
    return Request(method, target, hosts, None, url, path, query or None, agent, size, chunked)


def _other(host: str | None, first: str | None) -> str | None:
    return host if host != first else None


def _is_chunked(fields: dict[str, str]) -> bool:
    return fields.get("transfer-encoding", "").lower().endswith("chunked")


def _fields(lines: list[bytes]) -> dict[str, str]:
    """Return the header fields, names in lower case. Of a repeated one the first counts, as servers that allow it do."""
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            fields.setdefault(name.decode("latin-1").lower(), value.strip().decode("utf-8", "backslashreplace"))
    return fields


ChunkStep = tuple[Literal["more", "skip", "end", "broken"], int]


def chunk(stream: bytes | bytearray) -> ChunkStep:
    """Read the chunk line at the start of *stream*: what to do, and over how many bytes to go.

    "more": the line is not whole; "skip": a chunk of that many bytes, line and line end included; "end": the last chunk's line
    (trailers follow, up to an empty line); "broken": no chunk.
    """
    line_end = stream.find(b"\n", 0, 256)
    if line_end < 0:
        return ("broken", 0) if len(stream) >= 256 else ("more", 0)
    digits = bytes(stream[:line_end]).split(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", digits):
        return "broken", 0
    size = int(digits, 16)
    return ("skip", line_end + 1 + size + 2) if size else ("end", line_end + 1)
