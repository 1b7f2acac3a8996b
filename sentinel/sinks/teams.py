"""Microsoft Teams: an Adaptive Card to a Workflows webhook ("When a Teams webhook request is received").

202 comes before the flow has run: a card that is refused later is not seen here. Connectors (`*.webhook.office.com`) are gone
since 2026. https://learn.microsoft.com/connectors/teams/#microsoft-teams-webhook
"""

from __future__ import annotations

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


class TeamsSettings(Linked, WebSettings):
    """One flow."""

    SECRETS = ("url",)

    type: Literal["teams"]
    url_file: Path | None = Field(None, description="A file that holds the flow's address, which is secret.")
    url_env: str | None = Field(None, description="An environment variable that holds it, in place of url_file.")
    url_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")

    @property
    def schema_name(self) -> str:
        """The form that documents are written in."""
        return "teams"

    @property
    def room(self) -> int:
        """Bytes that a document may have: Teams takes 28 KB."""
        return 27_000

    def wording(self) -> Schema:
        """Return what writes this sink's documents."""
        return self.message("teams")


class TeamsSink(Poster[TeamsSettings]):
    """Posts to one flow."""

    def _posted(self, document: Document) -> Outcome:
        url = secret_of(self._settings, "url")
        if ".webhook.office.com/" in url:
            return Retry("this is the address of a connector, which Microsoft has ended: make a Workflows webhook")
        answer = self._web.post(url, document.body, {"content-type": "application/json"})
        if answer.taken and b"HTTP error 429" in answer.body:  # how older endpoints say that they are busy
            return Retry("HTTP 429, in the body of an answer that says 200")
        return judged(answer, AT_FAULT)


SINK = SinkKind(name="teams", settings=TeamsSettings, open=TeamsSink, batch=1, pace_secs=0.25)
