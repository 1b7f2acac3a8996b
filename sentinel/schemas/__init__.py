"""How things are worded for others: pure functions from an alert, or an observation, to a document. One file each."""

from __future__ import annotations

from collections.abc import Mapping

from sentinel.schemas.asim import asim
from sentinel.schemas.cef import cef
from sentinel.schemas.cim import cim
from sentinel.schemas.cloudevents import cloudevents
from sentinel.schemas.ecs import ecs
from sentinel.schemas.event import event
from sentinel.schemas.fit import Schema
from sentinel.schemas.gelf import gelf
from sentinel.schemas.leef import leef
from sentinel.schemas.ocsf import ocsf

SCHEMAS: Mapping[str, Schema] = {
    "asim": asim, "cef": cef, "cim": cim, "cloudevents": cloudevents, "ecs": ecs, "gelf": gelf, "json": event, "leef": leef,
    "ocsf": ocsf,
}  # fmt: skip
"""The schemas of alerts by the names that settings use."""
