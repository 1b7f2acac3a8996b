"""Sorts messages by who wrote them: each sender, and each host that a relay names, is a log of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sentinel.formats.envelope import peel
from sentinel.formats.format import as_text
from sentinel.sources.batch import Batch, Cuts, Input, Position
from sentinel.sources.records import digest_of

MOST_ORIGINS = 4096
"""So many logs are kept apart. Whoever forges host names fills this table; from then on senders alone are told apart."""

_HOST = re.compile(r"[0-9A-Za-z](?:[\w.:-]{0,252}\w)?\Z", re.ASCII)
_HEAD = 512
"""Bytes of a message in which its headers are looked for."""


@dataclass(slots=True)
class _Waiting:
    """Messages of one log that came over one connection, in their order."""

    records: list[bytes] = field(default_factory=list)
    size: int = 0


class Origins:
    """The logs that come in at one listener, and the messages of each that wait to be handed over."""

    def __init__(
        self,
        listener: str,
        positions: Mapping[str, Position],
        *,
        lines: bool,
        format: str | None,  # noqa: A002
        zone: str | None,
    ) -> None:
        """Begin with nothing waiting.

        Args:
            listener: The listener's name.
            positions: How many bytes of each log came in before, by key.
            lines: Whether messages are lines of text, which name their host; else they are records of a container.
            format: The format's name; None: told from the records.
            zone: IANA name of the zone of times that carry none.
        """
        self._listener = listener
        self._positions = positions
        self._lines = lines
        self._format = format
        self._zone = zone
        self._known: dict[tuple[str, str | None], str] = {}  # sender and host -> key
        self._offsets: dict[str, int] = {}
        self._waiting: dict[tuple[str, str | None, int | None], _Waiting] = {}
        self.size = 0  # bytes that wait

    def add(self, sender: str, message: bytes, connection: int | None) -> None:
        """Let a message wait.

        *connection*: that it came over, where senders send again what they do not know to have arrived.
        """
        host = self._host(message) if self._lines else None
        origin = (sender, host)
        if origin not in self._known:
            if len(self._known) >= MOST_ORIGINS:
                origin = (sender, None) if (sender, None) in self._known else ("others", None)
            self._known.setdefault(origin, "listen-" + digest_of(f"{self._listener}\0{origin[0]}\0{origin[1]}".encode()))
        waiting = self._waiting.setdefault((*origin, connection), _Waiting())
        waiting.records.append(message)
        waiting.size += len(message) + 1
        self.size += len(message) + 1

    def taken(self) -> tuple[Batch, ...]:
        """Return what waits, a batch for each log and connection; nothing waits afterwards."""
        now = datetime.now(UTC)
        batches = tuple(self._batch(*where, waiting, now) for where, waiting in self._waiting.items())
        self._waiting, self.size = {}, 0
        return batches

    def _batch(self, sender: str, host: str | None, connection: int | None, waiting: _Waiting, now: datetime) -> Batch:
        key = self._known[sender, host]
        at = self._offsets.get(key)
        if at is None:
            at = int(self._positions.get(key, {}).get("offset", 0))
        self._offsets[key] = at + waiting.size
        path = f"{self._listener.partition(':')[0]}:{sender}" + (f"/{host}" if host else "")
        source = Input(path, key, now, None, self._format, self._zone, mixed=self._lines and self._format is None)
        position = {"offset": at + waiting.size}
        data = b"\n".join(waiting.records) + b"\n"
        cuts = None if self._lines else Cuts.of(waiting.records, at, gap=1)
        return Batch(source, memoryview(data), at, position, now, connection=connection, cuts=cuts)

    @staticmethod
    def _host(message: bytes) -> str | None:
        host = peel(as_text(message[:_HEAD])).host
        return host if host and _HOST.match(host) else None
