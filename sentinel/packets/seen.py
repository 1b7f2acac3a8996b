"""What a packet showed, and the packet itself as evidence."""

from __future__ import annotations

from dataclasses import dataclass

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
