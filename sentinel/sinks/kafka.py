"""Apache Kafka: one record for each alert, its key the session, so that one session stays in order in one partition.

Headers are those of CloudEvents' binary mode; `ce_id` is the alert's id, by which a consumer tells what was sent twice.
`Delivered` means that all in-sync replicas have the record. Needs the extra `kafka`.
https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from sentinel.schemas.text import TYPES, clean, stamp
from sentinel.sinks.kind import SinkKind, SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Outcome, Rejected, Retry
from sentinel.sinks.secret import UnreadableSecretError, has_secret, secret_of

DELIVER_SECS = 20.0
"""How long brokers may take to confirm."""


class KafkaSettings(SinkSettings):
    """One topic."""

    OPTIONAL_SECRETS = ("password",)

    type: Literal["kafka"]
    brokers: str = Field(min_length=1, description="Some of the cluster's brokers, host:port, with commas between them.")
    topic: str = Field(pattern=r"^[A-Za-z0-9._-]{1,249}$", description="The topic.")
    tls: bool = Field(True, description="Whether TLS is spoken.")
    ca_file: Path | None = Field(None, description="TLS: certificates (PEM) to trust; left out, the machine's.")
    cert_file: Path | None = Field(None, description="TLS: our own certificate (PEM), for brokers that ask for one.")
    key_file: Path | None = Field(None, description="TLS: the key of cert_file (PEM).")
    username: str | None = Field(None, description="The user, where the brokers ask for one.")
    password_file: Path | None = Field(None, description="A file that holds the user's password.")
    password_env: str | None = Field(None, description="An environment variable that holds it, in place of password_file.")
    password_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="How the user is proved."
    )
    schema_: Literal["json", "ecs", "ocsf", "cloudevents"] = Field(
        "json", alias="schema", description="How alerts are written."
    )

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in."""
        return self.schema_

    @property
    def room(self) -> int:
        """Bytes that a document may have: brokers take a megabyte with all that goes with it."""
        return 900_000

    def mistakes(self) -> list[str]:
        """Return that the library is missing, when it is."""
        if importlib.util.find_spec("confluent_kafka") is None:
            return ["the sink needs the library of the extra 'kafka': pip install 'sentinel-face-search[kafka]'"]
        return []

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("certificates are for tls: true")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("'cert_file' and 'key_file' go together")
        if (self.username is None) == has_secret(self, "password"):
            raise ValueError("'username' and a password go together")
        return self


class KafkaSink:
    """Produces to one topic."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._producer: Any = None
        self._source = f"/sentinel/{quote(clean(socket.gethostname()), safe='')}"

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Produce *documents*, and wait for what became of each."""
        try:
            self._producer = self._producer or self._made()
        except UnreadableSecretError as error:
            return [Retry(str(error))] * len(documents)
        except Exception as error:  # KafkaException, and ImportError without the extra
            return [Retry(f"kafka: {clean(str(error))[:200]}")] * len(documents)
        outcomes: list[Outcome] = [Retry("kafka: not confirmed in time")] * len(documents)
        for number, document in enumerate(documents):
            self._produce(document, number, outcomes)
        left = self._producer.flush(DELIVER_SECS + 5)
        if left or any(isinstance(outcome, Retry) for outcome in outcomes):
            self.close()  # what is still on its way must not come in behind what is sent again
        return outcomes

    def close(self) -> None:
        """Drop the producer with what it has not delivered: the outbox has it."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(1)
        self._producer = None

    def _produce(self, document: Document, number: int, outcomes: list[Outcome]) -> None:
        from confluent_kafka import KafkaError, KafkaException

        def reported(error: Any, message: Any) -> None:
            if error is None:
                outcomes[number] = Delivered(f"partition {message.partition()}, offset {message.offset()}")
            elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                outcomes[number] = Rejected(f"kafka: {error.str()}")
            else:
                outcomes[number] = Retry(f"kafka: {error.str()}")

        headers = {
            "ce_specversion": "1.0",
            "ce_id": document.id,
            "ce_source": self._source,
            "ce_type": TYPES[document.kind],  # type: ignore[index]
            "ce_time": stamp(document.time),
            "content-type": "application/json",
        }
        if document.session:
            headers["ce_subject"] = document.session
        key = document.session or document.id
        try:
            self._producer.produce(self._settings.topic, document.body, key, headers=headers, on_delivery=reported)
        except (BufferError, KafkaException) as error:
            too_large = isinstance(error, KafkaException) and error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
            said = f"kafka: {clean(str(error))[:200]}"
            outcomes[number] = Rejected(said) if too_large else Retry(said)

    def _made(self) -> Any:
        from confluent_kafka import Producer

        settings = self._settings
        config: dict[str, Any] = {
            "bootstrap.servers": settings.brokers,
            "client.id": "sentinel",
            "acks": "all",
            "enable.idempotence": True,  # the library's own attempts then neither double nor reorder
            "message.timeout.ms": int(DELIVER_SECS * 1000),
            "linger.ms": 5,
            "log_level": 0,
            "security.protocol": ("SASL_" if settings.username else "") + ("SSL" if settings.tls else "PLAINTEXT"),
        }
        if settings.username:
            config |= {"sasl.mechanism": settings.mechanism, "sasl.username": settings.username}
            config["sasl.password"] = secret_of(settings, "password")
        files = {"ssl.ca.location": settings.ca_file, "ssl.certificate.location": settings.cert_file}
        files["ssl.key.location"] = settings.key_file
        config |= {name: str(file) for name, file in files.items() if file is not None}
        return Producer(config)


SINK = SinkKind(name="kafka", settings=KafkaSettings, open=KafkaSink, batch=200)
