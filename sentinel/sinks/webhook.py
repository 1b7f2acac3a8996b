"""A webhook: Sentinel's own JSON signed as Standard Webhooks 1.0 has it, or a body after a pattern of the receiver's own.

Each alert is one POST. Signed ones have `webhook-id` (the alert's id, the same at each attempt: the receiver's idempotency
key), `webhook-timestamp` (seconds, of this attempt) and `webhook-signature`. 2xx is delivered and 410 given up; all else is
tried again, redirects too, which are never followed. The address is a secret, as chat programs put their token into it, and
never part of what a sink says. `preset` names a product's own pattern (`schemas/presets.py`), `template_file` one of yours
(`schemas/template.py`). https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from sentinel.activity.records import Alert
from sentinel.schemas import SCHEMAS
from sentinel.schemas.fit import Schema
from sentinel.schemas.presets import PRESETS, Call, Preset
from sentinel.schemas.template import escape_of, filled, unknown_names
from sentinel.sinks.chat import Linked
from sentinel.sinks.kind import SinkKind
from sentinel.sinks.outcome import Delivered, Document, Outcome
from sentinel.sinks.secret import UnreadableSecretError, has_secret, read_secret, secret_of
from sentinel.sinks.web import Answer, Poster, WebSettings, judged

ROOM = 20_000
"""Bytes that Standard Webhooks advises a body to have at most."""

GONE = frozenset({410})
AT_FAULT = frozenset({400, 410, 413, 422})
"""Statuses that refuse a body of a pattern; as Standard Webhooks has it, 410 alone gives up."""

HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
OURS = frozenset({"webhook-id", "webhook-timestamp", "webhook-signature", "content-length", "host", "transfer-encoding"})
SECRET_HEADER = re.compile(r"auth|token|key|secret|cookie|password|signature", re.IGNORECASE)


class WebhookSettings(Linked, WebSettings):
    """An HTTP receiver. Address and secrets are read from where they lie at each delivery, so that they can be changed."""

    SECRETS = ("url",)
    OPTIONAL_SECRETS = ("proxy", "secret")

    type: Literal["webhook"]
    url_file: Path | None = Field(None, description="A file that holds the address, which is secret.")
    url_env: str | None = Field(None, description="An environment variable that holds the address, in place of url_file.")
    url_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints the address.")
    secret_file: Path | None = Field(None, description="A file that holds the signing secret, written whsec_ and base64.")
    secret_env: str | None = Field(None, description="An environment variable that holds it, in place of secret_file.")
    secret_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")
    headers: dict[str, str] = Field(default_factory=dict, description="Further headers; no secrets.")
    header_files: dict[str, Path] = Field(default_factory=dict, description="Further headers, each in a file.")
    header_envs: dict[str, str] = Field(default_factory=dict, description="Further headers, each in an environment variable.")
    preset: Literal["discord", "jira", "mattermost", "servicenow", "thehive"] | None = Field(
        None, description="Write bodies as this product wants them; its address is then url_file's."
    )
    template_file: Path | None = Field(None, description="A pattern of your own (YAML or JSON) for the bodies.")
    template_markup: Literal["none", "markdown"] = Field("none", description="How text for people is escaped in the pattern.")
    fill: dict[str, str] = Field(default_factory=dict, description="Names and values of your own for the pattern.")
    schema_: Literal["json", "ecs", "ocsf", "cloudevents"] = Field(
        "json", alias="schema", description="How alerts are written."
    )

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in, where there is no pattern."""
        return self.schema_

    @property
    def room(self) -> int:
        """Bytes that a document may have."""
        return PRESETS[self.preset].room if self.preset else ROOM

    @property
    def content_type(self) -> str:
        """The bodies' media type."""
        plain = self.preset or self.template_file or self.schema_ != "cloudevents"
        return "application/json" if plain else "application/cloudevents+json"

    @cached_property
    def pattern(self) -> Preset | None:
        """The pattern of the bodies; None where a schema writes them.

        Raises:
            OSError, yaml.YAMLError, ValueError, TypeError: Its file cannot be used.
        """
        if self.preset:
            return PRESETS[self.preset]
        if self.template_file is None:
            return None
        return Preset(Call(_tree(self.template_file)), markup=self.template_markup)

    def wording(self) -> Schema:
        """Return what writes this sink's documents: with a pattern, all the calls that it may come to."""
        pattern = self.pattern
        if pattern is None:
            return SCHEMAS[self.schema_]
        escape = escape_of(pattern.markup)

        def written(alert: Alert, sensor: str) -> bytes:
            calls = {"create": pattern.create, "update": pattern.update, "find": pattern.find}
            trees = {
                name: filled(call.tree, alert, sensor, self.link, escape=escape, more=self.fill)
                for name, call in calls.items()
                if call is not None
            }
            return json.dumps(trees, ensure_ascii=False, separators=(",", ":")).encode()

        return written

    def mistakes(self) -> list[str]:
        """Return what is wrong with the pattern."""
        try:
            pattern = self.pattern
        except OSError as error:
            return [f"{self.template_file}: {error.strerror}"]
        except yaml.MarkedYAMLError as error:
            line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
            return [f"{self.template_file}: {line}{error.problem}"]
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            return [f"{self.template_file}: {error}"]
        if pattern is None:
            return []
        unknown = unknown_names(pattern.create.tree, {*self.fill, *pattern.needs})
        missing = [name for name in pattern.needs if name not in self.fill]
        return [f"nothing is called {name!r} that the pattern names" for name in unknown] + [
            f"'preset: {self.preset}' needs 'fill' to say what {name!r} is" for name in missing
        ]

    def literals(self) -> Iterator[str]:
        """Yield the keys that hold a secret itself, in place of a reference to it."""
        yield from super().literals()
        yield from (f"headers.{name}" for name in self.headers if SECRET_HEADER.search(name))

    @field_validator("headers", "header_files", "header_envs")
    @classmethod
    def _headers_are_headers(cls, given: dict[str, Any]) -> dict[str, Any]:
        for name, value in given.items():
            if not HEADER.fullmatch(name) or name.lower() in OURS:
                raise ValueError(f"{name!r} is no header that can be set")
            if isinstance(value, str) and not value.isprintable():
                raise ValueError(f"the value of {name!r} is not one printable line")
        return given

    @model_validator(mode="after")
    def _signed_or_shaped(self) -> Self:
        if self.preset and self.template_file:
            raise ValueError("give one of 'preset' and 'template_file'")
        if not self.preset and not self.template_file and not has_secret(self, "secret"):
            raise ValueError("give one of 'secret_file', 'secret_env' and 'secret_command'")
        return self


class WebhookSink(Poster[WebhookSettings]):
    """Posts to one receiver."""

    def _posted(self, document: Document) -> Outcome:
        if self._settings.pattern is None:
            return judged(self._asked(Call(None), document, document.body), GONE)
        return self._shaped(self._settings.pattern, document)

    def _shaped(self, pattern: Preset, document: Document) -> Outcome:
        """Make something of an alert at the receiver, or add it to what the session's earlier alerts came to."""
        bodies = json.loads(document.body)
        if pattern.update is None:
            return judged(self._asked(pattern.create, document, _written(bodies["create"])), AT_FAULT)
        reference = document.reference
        if reference is None and pattern.find is not None:
            found = self._asked(pattern.find, document, _written(bodies["find"]))
            if not found.taken:
                return judged(found)
            reference = _picked(found, pattern.found)
        if reference is not None:
            answer = self._asked(pattern.update, document, _written(bodies["update"]), reference)
            if answer.status != 404:  # somebody removed it: then it is made anew
                outcome = judged(answer, AT_FAULT)
                return Delivered(answer.said, reference) if isinstance(outcome, Delivered) else outcome
        answer = self._asked(pattern.create, document, _written(bodies["create"]))
        outcome = judged(answer, AT_FAULT)
        return Delivered(answer.said, _picked(answer, pattern.reference)) if isinstance(outcome, Delivered) else outcome

    def _asked(self, call: Call, document: Document, body: bytes, reference: str = "") -> Answer:
        settings = self._settings
        url = secret_of(settings, "url")
        headers = {"content-type": settings.content_type, "accept": "application/json"} | {
            name.lower(): value for name, value in settings.headers.items()
        }
        hidden = {name: read_secret(file, None) for name, file in settings.header_files.items()}
        hidden |= {name: read_secret(None, variable) for name, variable in settings.header_envs.items()}
        headers |= {name.lower(): value for name, value in hidden.items()}
        if has_secret(settings, "secret"):
            headers |= _signed(signing_key(secret_of(settings, "secret")), document.id, body)
        if call.path:
            url = url.rstrip("/") + call.path.replace("{reference}", reference)
        return self._web.request(call.method, url, body, headers, hide=list(hidden.values()))


def _tree(file: Path) -> Any:
    if file.stat().st_size > ROOM:
        raise ValueError(f"has more than {ROOM} bytes")
    tree = yaml.safe_load(file.read_bytes())
    if not isinstance(tree, dict | list):
        raise ValueError("is neither an object nor a list")
    json.dumps(tree)  # dates and the like have no place in JSON
    return tree


def _written(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()


def _picked(answer: Answer, path: Sequence[str | int]) -> str | None:
    """Return what stands at *path* of an answer's JSON, when it is a name that can be part of an address."""
    try:
        here: Any = json.loads(answer.body)
        for step in path:
            here = here[step]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return here if isinstance(here, str) and re.fullmatch(r"[A-Za-z0-9~_.-]{1,100}", here) else None


def _signed(key: bytes, identity: str, body: bytes) -> Mapping[str, str]:
    now = int(time.time())
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(key, identity, now, body),
    }


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


SINK = SinkKind(name="webhook", settings=WebhookSettings, open=WebhookSink, batch=1)
