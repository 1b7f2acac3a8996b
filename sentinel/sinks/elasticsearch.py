"""Elasticsearch and OpenSearch, over `_bulk`: each alert is a document whose `_id` is the alert's, made once.

A data stream takes only `create`; that the id is there already (409) is an earlier delivery, and as good as this one. With
`documents: sessions` an index keeps one document for each session instead, with its latest state: the alert's time is its
version, so that none replaces a later one. Each item has its own outcome; that the whole request answers 200 says nothing.
https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk, https://docs.opensearch.org/latest/api-reference/document-apis/bulk/
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from sentinel.sinks.kind import SinkKind
from sentinel.sinks.outcome import Delivered, Document, Outcome, Rejected, Retry
from sentinel.sinks.secret import UnreadableSecretError, has_secret, secret_of
from sentinel.sinks.web import Answer, UnreachedError, Web, WebSettings, halved, in_parts, judged

MOST_BYTES = 5_000_000
READ = 4_000_000
"""Bytes of an answer: an item with an error and its reason has some hundred."""


class ElasticsearchSettings(WebSettings):
    """One cluster."""

    OPTIONAL_SECRETS = ("proxy", "api_key", "password")

    type: Literal["elasticsearch"]
    url: str = Field(pattern=r"^https?://", description="The cluster's address, such as https://elastic.example:9200.")
    data_stream: str | None = Field(None, description="The data stream; left out, logs-sentinel.alert-default.")
    index: str | None = Field(None, description="An index, in place of data_stream.")
    documents: Literal["alerts", "sessions"] = Field(
        "alerts", description="One document for each alert, or (with index) one for each session, with its latest state."
    )
    api_key_file: Path | None = Field(None, description="A file that holds an API key, in the encoded form.")
    api_key_env: str | None = Field(None, description="An environment variable that holds it, in place of api_key_file.")
    api_key_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")
    username: str | None = Field(None, description="The user, where there is no API key.")
    password_file: Path | None = Field(None, description="A file that holds the user's password.")
    password_env: str | None = Field(None, description="An environment variable that holds it, in place of password_file.")
    password_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")
    schema_: Literal["ecs", "ocsf", "json"] = Field("ecs", alias="schema", description="How alerts are written.")

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in."""
        return self.schema_

    @property
    def target(self) -> str:
        """The data stream or index."""
        return self.index or self.data_stream or "logs-sentinel.alert-default"

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if self.index is not None and self.data_stream is not None:
            raise ValueError("give one of 'index' and 'data_stream'")
        if self.documents == "sessions" and self.index is None:
            raise ValueError("'documents: sessions' needs an 'index': nothing in a data stream is ever changed")
        if self.index is None and self.schema_ != "ecs":
            raise ValueError("a data stream needs '@timestamp', which only 'schema: ecs' has; give an 'index'")
        if (self.username is None) == has_secret(self, "password"):
            raise ValueError("'username' and a password go together")
        return self


class ElasticsearchSink:
    """Sends to one cluster."""

    def __init__(self, settings: ElasticsearchSettings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._web = Web(settings)
        self._address = f"{settings.url.rstrip('/')}/{settings.target}/_bulk?filter_path=errors,items.*.status,items.*.error"

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Send *documents* in as few requests as their size allows."""
        return in_parts(documents, MOST_BYTES, self._send)

    def close(self) -> None:
        """Let go of the connection."""
        self._web.close()

    def _send(self, documents: Sequence[Document]) -> list[Outcome]:
        body = b"".join(self._item(document) for document in documents)
        try:
            headers = {"content-type": "application/x-ndjson", **self._credentials()}
            answer = self._web.post(self._address, body, headers, read=READ, hide=list(headers.values())[1:])
        except (UnreachedError, UnreadableSecretError) as error:
            return [Retry(str(error))] * len(documents)
        if answer.taken:
            return _each(answer, len(documents))
        if answer.status in (400, 413):
            return halved(documents, self._send) if len(documents) > 1 else [Rejected(answer.said)]
        return [judged(answer)] * len(documents)

    def _item(self, document: Document) -> bytes:
        if self._settings.documents == "sessions":
            version = int(document.time.timestamp() * 1000)
            about: dict[str, Any] = {
                "index": {"_id": document.session or document.id, "version": version, "version_type": "external_gte"}
            }
        else:
            about = {"create": {"_id": document.id}}
        return json.dumps(about).encode() + b"\n" + document.body + b"\n"

    def _credentials(self) -> dict[str, str]:
        settings = self._settings
        if has_secret(settings, "api_key"):
            return {"authorization": f"ApiKey {secret_of(settings, 'api_key')}"}
        if settings.username is not None:
            pair = f"{settings.username}:{secret_of(settings, 'password')}"
            return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {}


def _each(answer: Answer, count: int) -> list[Outcome]:
    """Return what became of each item of a request that was answered 200."""
    try:
        said = json.loads(answer.body)
        items = [next(iter(item.values())) for item in said["items"]]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, StopIteration):
        return [Retry(f"an answer that is none of _bulk: {answer.said}")] * count
    if len(items) != count:
        return [Retry(f"an answer for {len(items)} items in place of {count}")] * count
    return [_item_outcome(item) for item in items]


def _item_outcome(item: Any) -> Outcome:
    status = item.get("status") if isinstance(item, dict) else None
    if status in (200, 201):
        return Delivered(f"item {status}")
    if status == 409:
        return Delivered("item 409: there already")
    said = f"item {status}: {json.dumps(item.get('error') if isinstance(item, dict) else item, ensure_ascii=True)[:200]}"
    if not isinstance(status, int) or status in (401, 403, 429) or status >= 500:
        return Retry(said)
    return Rejected(said)


SINK = SinkKind(name="elasticsearch", settings=ElasticsearchSettings, open=ElasticsearchSink, batch=500)
