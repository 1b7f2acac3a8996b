"""What every kind of sink has: its settings, how it is opened, and how much it is given at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from sentinel.activity.records import AlertKind
from sentinel.sinks.outcome import Sink

StageWord = Literal["lookup", "contact", "visit", "login", "upload", "search", "result"]
SeverityWord = Literal["info", "low", "medium", "high", "critical"]

ROOM = 1 << 20
"""Bytes that a document may have where nothing else limits it."""


class SinkSettings(BaseModel):
    """What all sinks can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        description="What this sink is called, in logs and in the store: what waits for it waits under this name.",
    )
    minimum_severity: SeverityWord = Field("low", description="Alerts below it are not sent.")
    minimum_stage: StageWord = Field("lookup", description="Alerts on sessions that went less far are not sent.")
    events: tuple[AlertKind, ...] = Field(get_args(AlertKind), min_length=1, description="Which kinds of alerts are sent.")

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in, a key of `SCHEMAS`."""
        raise NotImplementedError

    @property
    def room(self) -> int:
        """Bytes that a document may have."""
        return ROOM


@dataclass(frozen=True, slots=True)
class SinkKind:
    """One way to deliver."""

    name: str  # the `type` of its settings
    settings: type[SinkSettings]  # the schemas it takes are the choices of its `schema`
    open: Callable[[Any], Sink]  # its own settings in, a sink out; touches nothing yet
    batch: int  # how many documents it is given at a time
