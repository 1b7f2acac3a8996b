"""Slack: an incoming webhook, or a bot, which puts the alerts on one session into one thread.

A webhook cannot answer in a thread, since it is not told what its message is called; each alert is then a message of its own.
Slack takes one message a second. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from sentinel.schemas.fit import Schema
from sentinel.schemas.text import clean
from sentinel.sinks.chat import Linked
from sentinel.sinks.kind import SinkKind
from sentinel.sinks.outcome import Delivered, Document, Outcome, Rejected, Retry
from sentinel.sinks.secret import forget_printed, has_secret, secret_of
from sentinel.sinks.web import Answer, Poster, WebSettings, judged, retry_after

API = "https://slack.com/api"

AT_FAULT = frozenset(
    {"invalid_blocks", "invalid_payload", "msg_blocks_too_long", "msg_too_long", "no_text", "invalid_attachments"}
)
"""Errors that are the message's own fault."""


class SlackSettings(Linked, WebSettings):
    """One channel."""

    OPTIONAL_SECRETS = ("proxy", "url", "token")

    type: Literal["slack"]
    url_file: Path | None = Field(None, description="A file that holds the webhook's address, which is secret.")
    url_env: str | None = Field(None, description="An environment variable that holds it, in place of url_file.")
    url_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")
    token_file: Path | None = Field(None, description="A file that holds a bot's token, in place of a webhook.")
    token_env: str | None = Field(None, description="An environment variable that holds it, in place of token_file.")
    token_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")
    channel: str | None = Field(None, description="With a token: the channel's id, such as C0123456789.")
    api: str = Field(API, pattern=r"^https?://", description="With a token: the API's address.")

    @property
    def schema_name(self) -> str:
        """The form that documents are written in."""
        return "slack"

    @property
    def room(self) -> int:
        """Bytes that a document may have: Slack takes about 13,000 characters of blocks."""
        return 13_000

    def wording(self) -> Schema:
        """Return what writes this sink's documents."""
        return self.message("slack")

    @model_validator(mode="after")
    def _webhook_or_bot(self) -> Self:
        if has_secret(self, "url") == has_secret(self, "token"):
            raise ValueError("give a webhook's address ('url_file' …) or a bot's token ('token_file' …)")
        if has_secret(self, "token") != (self.channel is not None):
            raise ValueError("'channel' goes together with a bot's token")
        return self


class SlackSink(Poster[SlackSettings]):
    """Posts to one channel."""

    def _posted(self, document: Document) -> Outcome:
        if has_secret(self._settings, "token"):
            return self._as_bot(document)
        headers = {"content-type": "application/json"}
        answer = self._web.post(secret_of(self._settings, "url"), document.body, headers)
        said = answer.body[:60].decode(errors="replace").strip()
        return Rejected(answer.said) if answer.status == 400 and said in AT_FAULT else judged(answer)

    def _as_bot(self, document: Document) -> Outcome:
        token = secret_of(self._settings, "token")
        message = {"channel": self._settings.channel, **json.loads(document.body)}
        if document.reference:
            message |= {"thread_ts": document.reference}
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json; charset=utf-8"}
        body = json.dumps(message, ensure_ascii=False).encode()
        answer = self._web.post(f"{self._settings.api.rstrip('/')}/chat.postMessage", body, headers, hide=[token])
        return _bot_outcome(answer, document) if answer.taken else judged(answer)


def _bot_outcome(answer: Answer, document: Document) -> Outcome:
    """Return what became of a message: the API answers 200 to mistakes as well."""
    try:
        said: Any = json.loads(answer.body)
        good, error, stamp = said["ok"], clean(str(said.get("error")))[:60], said.get("ts")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return Retry(f"an answer that is none of Slack's: HTTP {answer.status}")
    if good is True:
        # The thread is called after its first message.
        return Delivered(
            f"ok, {clean(str(stamp))[:40]}", reference=document.reference or (stamp if isinstance(stamp, str) else None)
        )
    if error in AT_FAULT:
        return Rejected(error)
    forget_printed()
    return Retry(error, after_secs=retry_after(answer.headers.get("retry-after"), datetime.now(UTC)))


SINK = SinkKind(name="slack", settings=SlackSettings, open=SlackSink, batch=1, pace_secs=1.0)
