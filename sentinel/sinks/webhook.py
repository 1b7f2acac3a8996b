"""A webhook, signed as Standard Webhooks 1.0 has it. https://www.standardwebhooks.com

Each alert is one POST with `webhook-id` (the alert's id, the same at each attempt: the receiver's idempotency key),
`webhook-timestamp` (seconds, of this attempt) and `webhook-signature`. 2xx is delivered and 410 given up; all else is tried
again, redirects too, which are never followed: address and signature are for one receiver. The address is a secret itself, as
chat programs put their token into it, and never part of what a sink says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal, Self

import httpx2
from pydantic import Field, model_validator

from sentinel.schemas.text import VERSION, clean
from sentinel.sinks.kind import SinkKind, SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Outcome, Rejected, Retry
from sentinel.sinks.secret import UnreadableSecretError, read_secret

CONNECT_SECS = 5.0
TOTAL_SECS = 20.0

LONGEST_WAIT = 3600.0
"""Seconds of a `Retry-After` that are obeyed: a receiver's wrong clock must not silence it for days."""

ROOM = 20_000
"""Bytes that Standard Webhooks advises a body to have at most."""

SAID = 200
"""Bytes of an answer that are worth keeping."""


class WebhookSettings(SinkSettings):
    """An HTTP receiver. Address and secret are read from where they lie at each delivery, so that both can be changed."""

    type: Literal["webhook"]
    url_file: Path | None = Field(None, description="A file that holds the address, which is secret.")
    url_env: str | None = Field(None, description="An environment variable that holds the address, in place of url_file.")
    secret_file: Path | None = Field(None, description="A file that holds the signing secret, written whsec_ and base64.")
    secret_env: str | None = Field(None, description="An environment variable that holds it, in place of secret_file.")
    ca_file: Path | None = Field(None, description="Certificates (PEM) to trust; left out, the machine's.")
    schema_: Literal["json", "ecs"] = Field("json", alias="schema", description="How alerts are written.")

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in."""
        return self.schema_

    @property
    def room(self) -> int:
        """Bytes that a document may have."""
        return ROOM

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for file, variable, what in ((self.url_file, self.url_env, "url"), (self.secret_file, self.secret_env, "secret")):
            if (file is None) == (variable is None):
                raise ValueError(f"give one of '{what}_file' and '{what}_env'")
        return self


class WebhookSink:
    """Posts to one receiver."""

    def __init__(self, settings: WebhookSettings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._http: httpx2.Client | None = None

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Post *documents* one after the other. After one that has to wait, the others are not tried."""
        outcomes: list[Outcome] = []
        for document in documents:
            outcome = self._deliver(document)
            outcomes.append(outcome)
            if isinstance(outcome, Retry):
                break
        return outcomes + outcomes[-1:] * (len(documents) - len(outcomes))

    def close(self) -> None:
        """Let go of the connection."""
        if self._http is not None:
            self._http.close()
        self._http = None

    def _deliver(self, document: Document) -> Outcome:
        try:
            url = _address(read_secret(self._settings.url_file, self._settings.url_env))
            key = signing_key(read_secret(self._settings.secret_file, self._settings.secret_env))
            self._http = self._http or self._client()
            return _post(self._http, url, key, document)
        except UnreadableSecretError as error:
            return Retry(str(error))
        except httpx2.TransportError as error:
            return Retry(f"{url.host}: {type(error).__name__} {_redacted(str(error), url)}".rstrip())
        except (httpx2.HTTPError, httpx2.StreamError) as error:  # such messages quote the address
            return Retry(f"{url.host}: {type(error).__name__}")
        except OSError as error:  # ssl.SSLError is one
            return Retry(f"{self._settings.ca_file}: {error.strerror or error}")

    def _client(self) -> httpx2.Client:
        return httpx2.Client(
            timeout=httpx2.Timeout(TOTAL_SECS, connect=CONNECT_SECS),
            verify=ssl.create_default_context(cafile=self._settings.ca_file),
            follow_redirects=False,
            trust_env=False,  # a proxy or a .netrc that the settings do not name must not see the address
            headers={"user-agent": f"Sentinel/{VERSION}", "content-type": "application/json", "accept-encoding": "identity"},
        )


def _post(http: httpx2.Client, url: httpx2.URL, key: bytes, document: Document) -> Outcome:
    now = int(time.time())
    headers = {
        "webhook-id": document.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(key, document.id, now, document.body),
    }
    deadline = time.monotonic() + TOTAL_SECS
    with http.stream("POST", url, content=document.body, headers=headers) as answer:
        if answer.is_success:
            return Delivered(f"HTTP {answer.status_code}")
        said = b""
        for part in answer.iter_raw():
            said += part[:SAID]
            if len(said) >= SAID or time.monotonic() > deadline:
                break
    return _judged(answer, said[:SAID].decode(errors="replace"), url)


def _judged(answer: httpx2.Response, body: str, url: httpx2.URL) -> Outcome:
    said = f"HTTP {answer.status_code}"
    if 300 <= answer.status_code < 400:
        return Retry(f"{said}: a redirect, which is not followed: give the address that it leads to")
    said += f": {_redacted(body, url)}" if body.strip() else ""
    if answer.status_code == httpx2.codes.GONE:
        return Rejected(said)
    return Retry(said, after_secs=retry_after(answer.headers.get("retry-after"), datetime.now(UTC)))


def _redacted(text: str, url: httpx2.URL) -> str:
    """Return what a receiver or the library said without the address, whose path and query are what is secret in it."""
    for secret in (str(url), url.raw_path.decode(errors="replace"), url.path, url.query.decode(errors="replace")):
        text = text.replace(secret, "…") if len(secret) > 1 else text
    return clean(text)[:SAID]


def signing_key(secret: str) -> bytes:
    """Return the key of a secret that is written `whsec_` and base64.

    Raises:
        UnreadableSecretError: It is something else.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableSecretError("the webhook's secret is not written whsec_ and base64") from None
    if not key:
        raise UnreadableSecretError("the webhook's secret is empty")
    return key


def signature(key: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` of *body* sent at *timestamp*, Unix seconds."""
    mac = hmac.digest(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac).decode()


def retry_after(header: str | None, now: datetime) -> float:
    """Return the seconds that a `Retry-After` asks for, which is seconds or a date, at most an hour; 0 when it asks nothing."""
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0), LONGEST_WAIT)


def _address(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        url = None
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise UnreadableSecretError("the webhook's address is no http:// or https:// URL") from None
    return url


SINK = SinkKind(name="webhook", settings=WebhookSettings, open=WebhookSink, batch=1)
