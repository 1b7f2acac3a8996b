"""Moves the bundled hour to now, and shrinks it: each record with its own time rewritten in its own format."""

from __future__ import annotations

import importlib.resources
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BEGAN = datetime(2026, 11, 20, 14, tzinfo=UTC)
LASTED = timedelta(hours=1)
PCAP_HEADER = 24
PACKET_HEADER = struct.Struct("<IIII")


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """Bytes that appear at a time at the end of a file."""

    at: datetime
    file: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Shift:
    """Where the fictional hour lies now, and how long it takes."""

    start: datetime
    lasts: timedelta

    def moved(self, time: datetime) -> datetime:
        """Return when something of the fictional hour happens now."""
        return self.start + (time - BEGAN) * (self.lasts / LASTED)


def moments(shift: Shift) -> list[Moment]:
    """Return the bundled records in the order in which they appear."""
    return sorted([*_squid(shift), *_dnsmasq(shift), *_capture(shift)])


def capture_header() -> bytes:
    """Return the bundled capture's file header, which has to stand before any packet."""
    return _bundled("gateway.pcap")[:PCAP_HEADER]


def _bundled(name: str) -> bytes:
    return (importlib.resources.files("sentinel.demo") / "data" / name).read_bytes()


def _squid(shift: Shift) -> Iterator[Moment]:
    for line in _bundled("access.log").splitlines(keepends=True):
        stamp, _, rest = line.partition(b" ")
        at = shift.moved(datetime.fromtimestamp(float(stamp), UTC))
        yield Moment(at, "access.log", f"{at.timestamp():.3f} ".encode() + rest)


def _dnsmasq(shift: Shift) -> Iterator[Moment]:
    for line in _bundled("dnsmasq.log").splitlines(keepends=True):
        written = datetime.strptime(f"{BEGAN.year} {line[:15].decode()}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
        at = shift.moved(written)
        yield Moment(at, "dnsmasq.log", f"{at:%b %e %H:%M:%S}".encode() + line[15:])


def _capture(shift: Shift) -> Iterator[Moment]:
    data = _bundled("gateway.pcap")
    offset = PCAP_HEADER
    while offset < len(data):
        seconds, micros, held, length = PACKET_HEADER.unpack_from(data, offset)
        at = shift.moved(datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros))
        body = data[offset + PACKET_HEADER.size : offset + PACKET_HEADER.size + held]
        yield Moment(at, "gateway.pcap", PACKET_HEADER.pack(int(at.timestamp()), at.microsecond, held, length) + body)
        offset += PACKET_HEADER.size + held
