"""How things are worded for others: pure functions from an alert, or an observation, to a document. One file each."""

from __future__ import annotations

from collections.abc import Mapping

from sentinel.schemas.cef import cef
from sentinel.schemas.ecs import ecs
from sentinel.schemas.event import event
from sentinel.schemas.fit import Schema

SCHEMAS: Mapping[str, Schema] = {"cef": cef, "ecs": ecs, "json": event}
"""The schemas of alerts by the names that settings use."""
