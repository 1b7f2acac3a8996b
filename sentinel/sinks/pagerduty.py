"""PagerDuty, Events API v2: the session is the incident, which "opened" triggers, "escalated" updates and "closed" resolves.

https://developer.pagerduty.com/docs/events-api-v2/overview/
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from sentinel.schemas.fit import Schema
from sentinel.sinks.chat import Linked
from sentinel.sinks.kind import SinkKind
from sentinel.sinks.outcome import Document, Outcome, Retry
from sentinel.sinks.secret import secret_of
from sentinel.sinks.web import Poster, WebSettings, judged

AT_FAULT = frozenset({400, 413})


class PagerDutySettings(Linked, WebSettings):
    """One integration of a service."""

    SECRETS = ("routing_key",)

    type: Literal["pagerduty"]
    routing_key_file: Path | None = Field(None, description="A file that holds the integration's key.")
    routing_key_env: str | None = Field(None, description="An environment variable that holds it.")
    routing_key_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")
    url: str = Field(
        "https://events.pagerduty.com/v2/enqueue",
        pattern=r"^https?://",
        description="Where events go; accounts in Europe have events.eu.pagerduty.com.",
    )

    @property
    def schema_name(self) -> str:
        """The form that documents are written in."""
        return "pagerduty"

    @property
    def room(self) -> int:
        """Bytes that a document may have: PagerDuty takes 512 KB."""
        return 100_000

    def wording(self) -> Schema:
        """Return what writes this sink's documents."""
        return self.message("pagerduty")


class PagerDutySink(Poster[PagerDutySettings]):
    """Sends events to one integration."""

    def _posted(self, document: Document) -> Outcome:
        key = secret_of(self._settings, "routing_key")
        body = json.dumps({"routing_key": key, **json.loads(document.body)}, ensure_ascii=False).encode()
        answer = self._web.post(self._settings.url, body, {"content-type": "application/json"}, hide=[key])
        if answer.status == 400 and b"routing" in answer.body.lower():  # a wrong key is no fault of the alert's
            return Retry(answer.said)
        return judged(answer, AT_FAULT)


SINK = SinkKind(name="pagerduty", settings=PagerDutySettings, open=PagerDutySink, batch=1, pace_secs=0.5)
