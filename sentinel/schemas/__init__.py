"""How things are worded for others: pure functions from an alert, or an observation, to a document. One file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sentinel.activity.records import Alert
from sentinel.schemas.asim import asim
from sentinel.schemas.cef import cef
from sentinel.schemas.cim import cim
from sentinel.schemas.cloudevents import cloudevents
from sentinel.schemas.ecs import ecs
from sentinel.schemas.event import event
from sentinel.schemas.fit import Schema
from sentinel.schemas.gelf import gelf
from sentinel.schemas.leef import leef
from sentinel.schemas.mail import mail
from sentinel.schemas.ocsf import ocsf
from sentinel.schemas.pagerduty import pagerduty
from sentinel.schemas.slack import slack
from sentinel.schemas.teams import teams

SCHEMAS: Mapping[str, Schema] = {
    "asim": asim, "cef": cef, "cim": cim, "cloudevents": cloudevents, "ecs": ecs, "gelf": gelf, "json": event, "leef": leef,
    "ocsf": ocsf,
}  # fmt: skip
"""The schemas of alerts by the names that settings use."""

MESSAGES: Mapping[str, Callable[[Alert, str, str | None], bytes]] = {
    "mail": mail, "pagerduty": pagerduty, "slack": slack, "teams": teams,
}  # fmt: skip
"""What people read, by the sink that brings it; the third argument is where more is to be seen."""
