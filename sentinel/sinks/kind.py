"""What every kind of sink has: its settings, how it is opened, and how much it is given at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sentinel.activity.records import AlertKind
from sentinel.schemas import SCHEMAS
from sentinel.schemas.fit import Schema
from sentinel.sinks.outcome import Sink

StageWord = Literal["lookup", "contact", "visit", "login", "upload", "search", "result"]
SeverityWord = Literal["info", "low", "medium", "high", "critical"]

ROOM = 1 << 20
"""Bytes that a document may have where nothing else limits it."""

_USER_IN_URL = re.compile(r"://[^/@\s]+@")


class SinkSettings(BaseModel):
    """What all sinks can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    SECRETS: ClassVar[tuple[str, ...]] = ()
    """The secrets that the sink needs; each has a field `…_file`, `…_env` and `…_command`."""
    OPTIONAL_SECRETS: ClassVar[tuple[str, ...]] = ()
    """Those that it can do without."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        description="What this sink is called, in logs and in the store: what waits for it waits under this name.",
    )
    minimum_severity: SeverityWord = Field("low", description="Alerts below it are not sent.")
    minimum_stage: StageWord = Field("lookup", description="Alerts on sessions that went less far are not sent.")
    events: tuple[AlertKind, ...] = Field(get_args(AlertKind), min_length=1, description="Which kinds of alerts are sent.")
    backlog_alert: int = Field(
        1000, ge=1, description="When so many alerts wait, a `sink-backlog` alert goes to all other sinks."
    )
    backlog_minutes: float = Field(
        15, gt=0, description="It goes as well when nothing was delivered for so long while something waits."
    )
    backlog_limit: int = Field(
        200_000,
        ge=1,
        description="The most alerts that may wait; beyond it the oldest become dead letters, and it is said loudly.",
    )

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in, a key of `SCHEMAS`."""
        raise NotImplementedError

    @property
    def room(self) -> int:
        """Bytes that a document may have."""
        return ROOM

    def wording(self) -> Schema:
        """Return what writes this sink's documents."""
        return SCHEMAS[self.schema_name]

    def mistakes(self) -> list[str]:
        """Return what is wrong with what the settings refer to; nothing is connected to."""
        return []

    def literals(self) -> Iterator[str]:
        """Yield the keys that hold a secret itself, in place of a reference to it."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, str) and _USER_IN_URL.search(value):
                yield name

    @model_validator(mode="after")
    def _each_secret_has_one_place(self) -> Self:
        for name in (*self.SECRETS, *self.OPTIONAL_SECRETS):
            places = [f"{name}_{place}" for place in ("file", "env", "command")]
            given = [place for place in places if getattr(self, place) is not None]
            if len(given) > 1 or (not given and name in self.SECRETS):
                raise ValueError(f"give one of '{places[0]}', '{places[1]}' and '{places[2]}'")
        return self


@dataclass(frozen=True, slots=True)
class SinkKind:
    """One way to deliver."""

    name: str  # the `type` of its settings
    settings: type[SinkSettings]  # the schemas it takes are the choices of its `schema`
    open: Callable[[Any], Sink]  # its own settings in, a sink out; touches nothing yet
    batch: int  # how many documents it is given at a time
    pace_secs: float = 0.0  # the least time between two documents that the receiver asks senders to keep
