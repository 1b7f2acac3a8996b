"""How messages are told apart in a stream of bytes: syslog over TCP in both ways that there are, and RELP.

References: RFC 6587 section 3.4 (octet counting, and line ends), https://www.rsyslog.com/doc/whitepapers/relp.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

_COUNT = re.compile(rb"([1-9][0-9]{0,8}) ")
_COUNT_BEFORE_SYSLOG = re.compile(rb"[1-9][0-9]{0,8} <")
_MAY_BECOME_COUNT = re.compile(rb"[1-9][0-9]{0,8} ?\Z")
_RELP = re.compile(rb"([0-9]{1,9}) ([A-Za-z]{1,32}) ([0-9]{1,9})(?: |(?=\n))")
_LONGEST_RELP_HEAD = 54
_ENDS = b"\n\0"


class Desynchronised(Exception):
    """The stream is not what it claimed to be: where the next message begins cannot be known."""


@dataclass(slots=True)
class SyslogFraming:
    """Takes a stream apart into messages. `refused` counts those that were longer than *most* bytes."""

    most: int
    refused: int = 0
    _rest: bytes = b""
    _mode: Literal["", "octets", "lines"] = ""
    _skip: int = 0  # bytes of a refused message that are still to come
    _discards: bool = False  # until the next line end

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete with *data*.

        Raises:
            Desynchronised: Octets were counted so far, and there is no count.
        """
        data = self._rest + data if self._rest else data
        self._rest = b""
        if not self._mode and not self._decided(data):
            self._rest = data
            return []
        return self._lines(data) if self._mode == "lines" else self._counted(data)

    def end(self) -> list[bytes]:
        """Return what the end of the stream completes: a last line may lack its end. A cut message is refused."""
        rest, self._rest = self._rest, b""
        if self._mode == "octets" or self._discards:
            self.refused += bool(rest or self._skip) and not self._discards
            return []
        return _message(rest)

    def _decided(self, data: bytes) -> bool:
        """Tell from the first bytes which way it is; return whether they suffice."""
        if _COUNT_BEFORE_SYSLOG.match(data):
            self._mode = "octets"
        elif not _MAY_BECOME_COUNT.match(data):
            self._mode = "lines"
        return bool(self._mode)

    def _counted(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        at = min(self._skip, len(data))
        self._skip -= at
        while at < len(data):
            count = _COUNT.match(data, at)
            if count is None:
                if _MAY_BECOME_COUNT.match(data[at : at + 12]):
                    break
                raise Desynchronised("no octet count where the next message should begin")
            size = int(count[1])
            end = count.end() + size
            if size > self.most:
                self.refused += 1
                self._skip = max(0, end - len(data))
            elif end > len(data):
                break
            else:
                messages += _message(data[count.end() : end])
            at = min(end, len(data))
        self._rest = data[at:]
        return messages

    def _lines(self, data: bytes) -> list[bytes]:
        *lines, rest = data.replace(b"\0", b"\n").split(b"\n")
        if self._discards and lines:
            del lines[0]
            self._discards = False
        messages = []
        for line in lines:
            if len(line) > self.most:
                self.refused += 1
            else:
                messages += _message(line)
        if len(rest) > self.most and not self._discards:
            self.refused += 1
            self._discards = True
        self._rest = b"" if self._discards else rest
        return messages


def _message(data: bytes) -> list[bytes]:
    """Return one message as a record, which has no line end inside; none when it is empty."""
    message = data.strip(b"\r\n\0").translate(_ONE_LINE)
    return [message] if message else []


_ONE_LINE = bytes(0x20 if byte in _ENDS else byte for byte in range(256))


def one_line(datagram: bytes) -> list[bytes]:
    """Return a datagram's message as a record; none when it is empty."""
    return _message(datagram)


@dataclass(frozen=True, slots=True)
class Frame:
    """One RELP frame. `data` is None when it was longer than allowed."""

    number: int
    command: str
    data: bytes | None


@dataclass(slots=True)
class RelpFraming:
    """Takes a RELP session's bytes apart into frames."""

    most: int
    _rest: bytes = b""
    _skip: int = 0
    _waiting: list[Frame] = field(default_factory=list)  # the frame whose data is passed over

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete with *data*.

        Raises:
            Desynchronised: It is no RELP.
        """
        data = self._rest + data if self._rest else data
        frames: list[Frame] = []
        at = min(self._skip, len(data))
        self._skip -= at
        if not self._skip:
            frames += self._waiting
            self._waiting = []
        while at < len(data) and not self._skip:
            head = _RELP.match(data, at)
            if head is None:
                if len(data) - at > _LONGEST_RELP_HEAD or b"\n" in data[at:]:
                    raise Desynchronised("no RELP frame")
                break
            end = head.end() + int(head[3])
            frame = Frame(int(head[1]), head[2].decode("ascii"), None)
            if int(head[3]) > self.most:
                self._skip = max(0, end + 1 - len(data))
                (self._waiting if self._skip else frames).append(frame)
                end = min(end, len(data) - 1)
            elif end >= len(data):
                break
            elif data[end : end + 1] != b"\n":
                raise Desynchronised("a RELP frame does not end where it should")
            else:
                frames.append(Frame(frame.number, frame.command, data[head.end() : end]))
            at = end + 1
        self._rest = data[at:]
        return frames
