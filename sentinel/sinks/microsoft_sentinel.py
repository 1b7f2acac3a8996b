"""Microsoft Sentinel, over the Logs Ingestion API: rows of ASIM AlertEvent into a table of Log Analytics.

The table, a data collection rule and an application with the role Monitoring Metrics Publisher on the rule have to be there.
The API removes no duplicates: `EventUid` is the alert's id. A machine in Azure needs no secret, with its managed identity.
https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlencode

from pydantic import Field, model_validator

from sentinel.sinks.kind import SinkKind
from sentinel.sinks.outcome import Delivered, Document, Outcome, Rejected, Retry
from sentinel.sinks.secret import UnreadableSecretError, forget_printed, has_secret, secret_of
from sentinel.sinks.web import Answer, UnreachedError, Web, WebSettings, halved, in_parts, judged

MOST_BYTES = 950_000
"""Bytes of a request: a megabyte is the most, whether it is compressed or not."""

EARLY_SECS = 300
"""How long before its end a token is renewed."""

IDENTITY_SERVICE = "http://169.254.169.254/metadata/identity/oauth2/token"
"""Where Azure gives a machine's own token. https://learn.microsoft.com/entra/identity/managed-identities-azure-resources"""


class MicrosoftSentinelSettings(WebSettings):
    """One stream of a data collection rule."""

    OPTIONAL_SECRETS = ("proxy", "client_secret")

    type: Literal["microsoft_sentinel"]
    endpoint: str = Field(pattern=r"^https?://", description="The logs ingestion endpoint of the rule, or of its endpoint.")
    rule: str = Field(pattern=r"^[A-Za-z0-9-]+$", description="The rule's immutable id, dcr-…")
    stream: str = Field("Custom-SentinelAlert", pattern=r"^[A-Za-z0-9_-]+$", description="The stream that the rule declares.")
    identity: Literal["application", "managed"] = Field(
        "application", description="Who we are: an application with a secret, or this machine's managed identity."
    )
    tenant: str | None = Field(None, pattern=r"^[A-Za-z0-9.-]+$", description="The directory of the application.")
    client_id: str | None = Field(None, description="The application; with a managed identity, which of several.")
    client_secret_file: Path | None = Field(None, description="A file that holds the application's secret.")
    client_secret_env: str | None = Field(None, description="An environment variable that holds it.")
    client_secret_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")
    authority: str = Field(
        "https://login.microsoftonline.com",
        pattern=r"^https?://",
        description="Where tokens come from; others in sovereign clouds.",
    )
    resource: str = Field("https://monitor.azure.com", description="What the token is for; others in sovereign clouds.")

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in."""
        return "asim"

    @property
    def room(self) -> int:
        """Bytes that a document may have: Microsoft cuts a field at 64 KB."""
        return 60_000

    @model_validator(mode="after")
    def _identity_is_whole(self) -> Self:
        missing = self.tenant is None or self.client_id is None or not has_secret(self, "client_secret")
        if self.identity == "application" and missing:
            raise ValueError("'identity: application' needs 'tenant', 'client_id' and a client secret")
        return self


class MicrosoftSentinelSink:
    """Sends to one stream."""

    def __init__(self, settings: MicrosoftSentinelSettings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._web = Web(settings)
        direct = {"allow_link_local": True, "proxy": None, "proxy_file": None, "proxy_env": None, "proxy_command": None}
        self._identity_service = Web(settings.model_copy(update=direct))
        base = settings.endpoint.rstrip("/")
        self._address = f"{base}/dataCollectionRules/{settings.rule}/streams/{settings.stream}?api-version=2023-01-01"
        self._token, self._until = "", 0.0

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Send *documents* in as few requests as their size allows."""
        return in_parts(documents, MOST_BYTES - 2 * len(documents), self._send)

    def close(self) -> None:
        """Let go of the connections."""
        self._web.close()
        self._identity_service.close()

    def _send(self, documents: Sequence[Document]) -> list[Outcome]:
        body = b"[" + b",".join(document.body for document in documents) + b"]"
        try:
            answer = self._posted(body)
            if answer.status == 401:  # a token that was revoked before its end
                self._until = 0.0
                answer = self._posted(body)
        except (UnreachedError, UnreadableSecretError) as error:
            return [Retry(str(error))] * len(documents)
        if answer.taken:
            return [Delivered(answer.said)] * len(documents)
        if answer.status in (400, 413):
            return halved(documents, self._send) if len(documents) > 1 else [Rejected(answer.said)]
        return [judged(answer)] * len(documents)

    def _posted(self, body: bytes) -> Answer:
        token = self._bearer()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        return self._web.post(self._address, body, headers, hide=[token])

    def _bearer(self) -> str:
        if time.monotonic() < self._until:
            return self._token
        answer = self._asked_for_token()
        try:
            said = json.loads(answer.body)
            token, secs = said["access_token"], float(said["expires_in"])
            if not isinstance(token, str):
                raise TypeError
        except (ValueError, RecursionError, LookupError, TypeError):
            forget_printed()
            raise UnreachedError(f"no token: HTTP {answer.status}{_why(answer)}") from None
        self._token, self._until = token, time.monotonic() + max(0.0, secs - EARLY_SECS)
        return token

    def _asked_for_token(self) -> Answer:
        settings = self._settings
        if settings.identity == "managed":
            query = {"api-version": "2018-02-01", "resource": settings.resource}
            query |= {"client_id": settings.client_id} if settings.client_id else {}
            address = f"{IDENTITY_SERVICE}?{urlencode(query)}"
            return self._identity_service.request("GET", address, b"", {"metadata": "true"})
        secret = secret_of(settings, "client_secret")
        form = {
            "client_id": settings.client_id or "",
            "client_secret": secret,
            "grant_type": "client_credentials",
            "scope": f"{settings.resource}/.default",
        }
        address = f"{settings.authority.rstrip('/')}/{quote(settings.tenant or '')}/oauth2/v2.0/token"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self._web.post(address, urlencode(form).encode(), headers, hide=[secret])


def _why(answer: Answer) -> str:
    """Return the error's name that Microsoft gives; the rest of such an answer may quote what was sent."""
    try:
        name = json.loads(answer.body)["error"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return ""
    return f": {name[:60]}" if isinstance(name, str) and name.replace("_", "").isalnum() else ""


SINK = SinkKind(name="microsoft_sentinel", settings=MicrosoftSentinelSettings, open=MicrosoftSentinelSink, batch=200)
