"""Reads the records of one stream: by its format, and those of another kind in a mixed file by their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sentinel import formats
from sentinel.formats.clock import StreamClock
from sentinel.formats.envelope import bared_records
from sentinel.formats.format import LogFormat, Malformed, Stream, cleaned
from sentinel.observation import Observation


class Reader:
    """The format of a stream, and what has to be remembered between its records."""

    def __init__(self, log_format: LogFormat | None, clock: StreamClock) -> None:
        """Start before the first record; without a format each record is read by the one that recognises it."""
        self.clock = clock
        self._format = log_format
        self._parser = log_format
        self._streams: dict[str, Stream] = {}

    @property
    def parser(self) -> str:
        """Name and version of what read the last record, as in "bind-query/1"; "none" when nothing did."""
        return f"{self._parser.name}/{self._parser.version}" if self._parser else "none"

    def use(self, log_format: LogFormat) -> None:
        """Read by *log_format* from here on. Headers and times seen so far stay known."""
        self._format = self._parser = log_format

    def learn(self, records: Iterable[bytes]) -> None:
        """Find the year of the first record from records at increasing offsets, the last one's included.

        To be called before the first record is read, for a file that can be read out of order and whose times may have
        no year. Records that do not parse, or that carry a year, tell nothing and do no harm.
        """
        if self._format is None:
            return
        probe = _Probe()
        stream = Stream(probe, self._stream(self._format).header)
        for record in records:
            try:
                self._format.parse(cleaned(record), stream)
            except Malformed:
                continue
        self.clock.learn_order(probe.month_first)
        self.clock.learn(probe.dates)

    def parse(self, record: bytes) -> Sequence[Observation]:
        """Return what one record, without its line feed, says.

        Raises:
            Malformed: No format reads it.
        """
        self._parser = self._format
        if self._format is not None and self._format.binary:
            return self._format.parse(record, self._stream(self._format))
        record = cleaned(record)
        if not record.strip():
            return ()
        if self._format is None:
            return self._by_another(record, Malformed("no format recognises the record"))
        if self._format.read_header and record.startswith(self._format.header_starts):
            stream = self._stream(self._format)
            stream.header = self._format.read_header(record, stream.header)
            return ()
        stream = self._stream(self._format)
        try:
            return self._format.parse(record, stream)
        except Malformed as error:
            first = error
        for bare in bared_records(record):
            try:
                return self._format.parse(bare, stream)
            except Malformed:
                continue
        return self._by_another(record, first)

    def follows(self) -> frozenset[bytes]:
        """Return what later records hold that go on with what was read so far (`LogFormat.follow`)."""
        asked = ((formats.FORMATS.get(name), stream) for name, stream in self._streams.items() if stream.header)
        return frozenset(one for known, stream in asked if known and known.follow for one in known.follow(stream.header))

    def assumptions(self) -> list[str]:
        """Return what was assumed of the records' times, in sentences for the coverage."""
        return self.clock.assumptions()

    def state(self) -> dict[str, Any]:
        """Return what a position has to keep, JSON-able."""
        headers = {name: list(stream.header) for name, stream in self._streams.items() if stream.header}
        return {"headers": headers, "clock": self.clock.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._streams = {name: Stream(self.clock, tuple(header)) for name, header in state["headers"].items()}
        self.clock.restore(state["clock"])

    def _stream(self, log_format: LogFormat) -> Stream:
        stream = self._streams.get(log_format.name)
        if stream is None:
            stream = self._streams[log_format.name] = Stream(self.clock)
        return stream

    def _by_another(self, record: bytes, error: Malformed) -> Sequence[Observation]:
        """Read a record by the one other format that recognises it; what two recognise, or none, stays malformed."""
        for one in (record, *bared_records(record)):
            fits = [f for f in formats.FORMATS.values() if f is not self._format and f.recognise([one]) == 1.0]
            if len(fits) > 1:
                break
            if fits:
                observations = fits[0].parse(one, self._stream(fits[0]))
                self._parser = fits[0]
                return observations
        raise error


class _Probe:
    """A clock that only takes down which dates came without a year, and in which order those in numbers are."""

    def __init__(self) -> None:
        self.dates: list[tuple[int, int]] = []
        self.month_first: bool | None = None

    def local(self, naive: datetime) -> datetime:
        return naive.replace(tzinfo=UTC)

    def without_year(self, month: int, day: int, hour: int, minute: int, second: int, microsecond: int = 0) -> datetime:
        try:
            time = datetime(2000, month, day, hour, minute, second, microsecond, UTC)
        except ValueError as error:
            raise Malformed(str(error)) from error
        self.dates.append((month, day))
        return time

    def undated(self) -> datetime:
        return datetime(2000, 1, 1, tzinfo=UTC)

    def month_and_day(self, first: int, second: int, month_first: bool) -> tuple[int, int]:  # noqa: ARG002
        if first > 12 or second > 12:
            self.month_first = second > 12
        return (second, first) if first > 12 else (first, second)
