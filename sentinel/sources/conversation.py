"""What is said on one connection: bytes come in, messages and replies come out. No socket is touched here.

A message with a ticket is acknowledged, by that ticket, when what it said has been committed.

References: RFC 6587 (syslog over TCP), https://www.rsyslog.com/doc/whitepapers/relp.html,
https://farsightsec.github.io/fstrm/ (Frame Streams).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from sentinel.sources.frame_streams import ACCEPT, CONTENT_TYPE, FINISH, READY, START, STOP, FrameStream, control
from sentinel.sources.framing import Desynchronised, Frame, RelpFraming, SyslogFraming

TOO_LONG = "messages longer than the limit"
CUT = "messages that broke off"

Message = tuple[bytes, int | None]
"""The message, and the ticket by which it is to be acknowledged."""


class Conversation(Protocol):
    """One connection's side of a protocol."""

    refused: Counter[str]  # by reason, since somebody last took them
    replies: bytearray  # to be sent
    over: bool  # the other side is done: nothing comes after the replies

    def take(self, data: bytes) -> list[Message]:
        """Return the messages that are complete with *data*.

        Raises:
            Desynchronised: It is not what was agreed on.
        """

    def acknowledge(self, tickets: Iterable[int]) -> None:
        """Tell the sender that the messages of *tickets* are kept."""

    def end(self) -> list[Message]:
        """Return what the end of the stream completes."""


class Plain:
    """Syslog over a stream. The sender learns nothing of what became of its messages."""

    def __init__(self, most: int) -> None:
        """Take messages of at most *most* bytes."""
        self._framing = SyslogFraming(most)
        self.refused: Counter[str] = Counter()
        self.replies = bytearray()
        self.over = False

    def take(self, data: bytes) -> list[Message]:
        """Return the messages that are complete with *data*."""
        messages = self._framing.feed(data)
        self._count(TOO_LONG)
        return [(message, None) for message in messages]

    def acknowledge(self, tickets: Iterable[int]) -> None:
        """Do nothing: there is no way to tell it."""

    def end(self) -> list[Message]:
        """Return a last line that lacks its end."""
        messages = self._framing.end()
        self._count(CUT)
        return [(message, None) for message in messages]

    def _count(self, reason: str) -> None:
        if self._framing.refused:
            self.refused[reason] += self._framing.refused
            self._framing.refused = 0


class Relp:
    """RELP: each message is acknowledged, and one that was not is sent again on the next connection."""

    def __init__(self, most: int) -> None:
        """Take messages of at most *most* bytes."""
        self._framing = RelpFraming(most)
        self._opened = False
        self._waiting: set[int] = set()  # messages that are not acknowledged yet
        self._closing: int | None = None
        self.refused: Counter[str] = Counter()
        self.replies = bytearray()
        self.over = False

    def take(self, data: bytes) -> list[Message]:
        """Return the messages that are complete with *data*; what else is asked is answered."""
        messages: list[Message] = []
        for frame in self._framing.feed(data):
            if frame.command != "syslog":
                self._answered(frame)
            elif not self._opened:
                raise Desynchronised("RELP: a message before the session was opened")
            elif frame.data is None:
                # Without an answer of success the sender would send it again for ever, and nothing behind it.
                self.refused[TOO_LONG] += 1
                self._reply(frame.number, b"200 OK")
            else:
                self._waiting.add(frame.number)
                record = frame.data.strip(b"\r\n\0").translate(_ONE_LINE)
                messages.append((record, frame.number))
        return messages

    def acknowledge(self, tickets: Iterable[int]) -> None:
        """Answer 200 to each."""
        for ticket in tickets:
            self._waiting.discard(ticket)
            self._reply(ticket, b"200 OK")
        self._close()

    def end(self) -> list[Message]:
        """Return nothing: what was not acknowledged comes again."""
        return []

    def _answered(self, frame: Frame) -> None:
        if frame.command == "open":
            self._opened = True
            self._reply(frame.number, b"200 OK\nrelp_version=0\nrelp_software=sentinel\ncommands=syslog")
        elif frame.command == "close":
            self._closing = frame.number
            self._close()
        else:
            self._reply(frame.number, b"500 unknown command")

    def _close(self) -> None:
        if self._closing is not None and not self._waiting:
            self._reply(self._closing, b"")
            self.replies += b"0 serverclose 0\n"
            self._closing, self.over = None, True

    def _reply(self, number: int, text: bytes) -> None:
        self.replies += b"%d rsp %d%b\n" % (number, len(text), b" " + text if text else b"")


class Frames:
    """Frame Streams with dnstap in them, with the handshake of a socket or, as some writers do it, without."""

    def __init__(self, most: int) -> None:
        """Take frames of at most *most* bytes."""
        self._stream = FrameStream(most)
        self.refused: Counter[str] = Counter()
        self.replies = bytearray()
        self.over = False

    def take(self, data: bytes) -> list[Message]:
        """Return the frames that are complete with *data*."""
        messages: list[Message] = []
        for _offset, kind, frame in self._stream.feed(data):
            if kind is None:
                messages.append((frame, None))
            elif kind == READY:
                self.replies += control(ACCEPT, CONTENT_TYPE)
            elif kind == STOP:
                self.replies += control(FINISH)
                self.over = True
            elif kind != START:
                raise Desynchronised(f"a control frame of the kind {kind} from a sender")
        if self._stream.refused:
            self.refused[TOO_LONG] += self._stream.refused
            self._stream.refused = 0
        return messages

    def acknowledge(self, tickets: Iterable[int]) -> None:
        """Do nothing: there is no way to tell it."""

    def end(self) -> list[Message]:
        """Return nothing; a frame that broke off is counted."""
        self.refused[CUT] += self._stream.broken_off
        return []


_ONE_LINE = bytes(0x20 if byte in b"\n\0" else byte for byte in range(256))
