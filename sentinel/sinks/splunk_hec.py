"""Splunk's HTTP Event Collector, with indexer acknowledgement where the token has it.

Events go end to end in one request, each with its own time: without it Splunk stamps the moment of arrival, after an outage
hours late. 200 means "taken for parsing"; with `acknowledge` an alert is delivered when the indexers have said so. Splunk
removes no duplicates: `id` in the event is the alert's.
https://help.splunk.com/en/splunk-enterprise/get-data-in/get-data-with-http-event-collector
"""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sentinel.sinks.kind import SinkKind
from sentinel.sinks.outcome import Delivered, Document, Outcome, Rejected, Retry
from sentinel.sinks.secret import UnreadableSecretError, secret_of
from sentinel.sinks.web import Answer, UnreachedError, Web, WebSettings, halved, in_parts, judged

MOST_BYTES = 900_000
"""Bytes of a request: the oldest collectors take a megabyte."""

ACKNOWLEDGE_SECS = 15.0
"""How long indexers may take; then the events are sent again."""

ASK_SECS = 0.5
"""How often to ask them."""

AT_FAULT = frozenset({5, 6, 12, 13, 15})
"""HEC's codes for a document's own fault: no data, invalid format, no event, blank event, nested fields."""

SETTING = frozenset({7, 10, 11, 14})
"""Codes for a mistake in settings: index not allowed, channel missing or invalid, acknowledgement is off."""


class SplunkHecSettings(WebSettings):
    """One HTTP Event Collector."""

    SECRETS = ("token",)

    type: Literal["splunk_hec"]
    url: str = Field(pattern=r"^https?://", description="The collector's address, such as https://splunk.example:8088.")
    token_file: Path | None = Field(None, description="A file that holds the token.")
    token_env: str | None = Field(None, description="An environment variable that holds the token, in place of token_file.")
    token_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints the token.")
    index: str | None = Field(None, description="The index; left out, the token's own.")
    source: str = Field("sentinel", description="The events' source.")
    sourcetype: str = Field("sentinel:alert", description="The events' source type.")
    acknowledge: bool = Field(False, description="Wait for the indexers; the token has to have acknowledgement on.")
    schema_: Literal["cim", "json", "ecs", "ocsf"] = Field("cim", alias="schema", description="How alerts are written.")

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in."""
        return self.schema_

    @property
    def room(self) -> int:
        """Bytes that a document may have: a request with its envelope and that alone stays below the limit."""
        return MOST_BYTES // 2


class SplunkHecSink:
    """Sends to one collector."""

    def __init__(self, settings: SplunkHecSettings) -> None:
        """Connect to nothing yet. The channel, under which indexers acknowledge, is this sink's own while it lives."""
        self._settings = settings
        self._web = Web(settings)
        self._base = settings.url.rstrip("/").removesuffix("/services/collector/event").removesuffix("/services/collector")
        self._channel = str(uuid.uuid4())
        self._sensor = socket.gethostname()

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Send *documents* in as few requests as their size allows."""
        return in_parts(documents, MOST_BYTES - 512 * len(documents), self._send)

    def close(self) -> None:
        """Let go of the connection."""
        self._web.close()

    def _send(self, documents: Sequence[Document]) -> list[Outcome]:
        try:
            answer = self._posted("/event", b"".join(map(self._event, documents)))
            if answer.taken:
                return [self._acknowledged(answer)] * len(documents)
        except (UnreachedError, UnreadableSecretError) as error:
            return [Retry(str(error))] * len(documents)
        code = _said(answer).get("code")
        if code in SETTING or (code not in AT_FAULT and answer.status != 413):
            return [judged(answer)] * len(documents)
        return self._sorted_out(documents, answer)

    def _sorted_out(self, documents: Sequence[Document], answer: Answer) -> list[Outcome]:
        """Give up the one document that is at fault, and send the others again."""
        if len(documents) == 1:
            return [Rejected(answer.said)]
        number = _said(answer).get("invalid-event-number")
        if not isinstance(number, int) or not 0 <= number < len(documents) or answer.status == 413:
            return halved(documents, self._send)
        # Those before it may be indexed already or not: versions differ, and twice is better than never.
        others = [*documents[:number], *documents[number + 1 :]]
        outcomes = self._send(others)
        return [*outcomes[:number], Rejected(answer.said), *outcomes[number:]]

    def _event(self, document: Document) -> bytes:
        about: dict[str, Any] = {
            "time": round(document.time.timestamp(), 3),
            "host": self._sensor,
            "source": self._settings.source,
            "sourcetype": self._settings.sourcetype,
        }
        about |= {"index": self._settings.index} if self._settings.index else {}
        return json.dumps(about)[:-1].encode() + b',"event":' + document.body + b"}"

    def _posted(self, path: str, content: bytes) -> Answer:
        token = secret_of(self._settings, "token")
        headers = {
            "authorization": f"Splunk {token}",
            "content-type": "application/json",
            "x-splunk-request-channel": self._channel,
        }
        return self._web.post(f"{self._base}/services/collector{path}", content, headers, hide=[token])

    def _acknowledged(self, answer: Answer) -> Outcome:
        """Return when the indexers have what was taken."""
        if not self._settings.acknowledge:
            return Delivered(answer.said)
        number = _said(answer).get("ackId")
        if not isinstance(number, int):
            return Retry(f"{answer.said}: no ackId, so the token has acknowledgement off: see `acknowledge`")
        deadline = time.monotonic() + ACKNOWLEDGE_SECS
        while time.monotonic() < deadline:
            asked = self._posted("/ack", json.dumps({"acks": [number]}).encode())
            if not asked.taken:
                return judged(asked)
            acks = _said(asked).get("acks")
            if isinstance(acks, dict) and acks.get(str(number)) is True:
                return Delivered(f"{answer.said}, acknowledged")
            time.sleep(ASK_SECS)
        return Retry(f"taken as {number}, and not acknowledged within {ACKNOWLEDGE_SECS:g} seconds")


def _said(answer: Answer) -> dict[str, Any]:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


SINK = SinkKind(name="splunk_hec", settings=SplunkHecSettings, open=SplunkHecSink, batch=200)
