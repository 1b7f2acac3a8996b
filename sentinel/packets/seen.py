"""What a packet showed, and the packet itself as evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sentinel.observation import Observation


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation, the number of the packet that completed it (from 1, in its capture), and that packet's bytes.

    `path` names the capture where that may be another one than is being read.
    """

    observation: Observation
    frame: int
    packet: bytes
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Unconcerning:
    """That a connection named a host of which no rule says anything.

    `name`: in lower case, without a final dot; `time`: ns since 1970.
    """

    time: int
    name: str
    client_port: int
    tcp: bool


class Concerns(Protocol):
    """What is to be told: of all other names, only as much as the address-to-name memory and the book of flows need."""

    def __call__(self, name: str, /) -> bool:
        """Return whether *name*, in lower case and without a final dot, is to be told."""
