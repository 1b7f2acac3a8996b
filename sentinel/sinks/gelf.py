"""Graylog, over GELF on TCP or TLS: messages that end with a NUL, over one connection that is kept.

Graylog does not answer: `Delivered` means what it means for syslog, that the receiver's machine has acknowledged every byte and
has not closed the connection. https://go2docs.graylog.org/current/getting_in_log_data/gelf.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from sentinel.sinks.kind import SinkKind, SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Outcome, Retry
from sentinel.sinks.stream import Stream, Trust


class GelfSettings(SinkSettings):
    """A GELF input."""

    type: Literal["gelf"]
    host: str = Field(min_length=1, description="The server's name or address.")
    port: int = Field(12201, ge=1, le=65535, description="The input's port.")
    transport: Literal["tcp", "tls"] = Field("tls", description="Plain TCP can be read by everyone on the way.")
    max_bytes: int = Field(65_000, ge=2560, le=1_000_000, description="Longest message; longer ones lose descriptions.")
    ca_file: Path | None = Field(None, description="TLS: certificates (PEM) to trust; left out, the machine's.")
    cert_file: Path | None = Field(None, description="TLS: our own certificate (PEM), for servers that ask for one.")
    key_file: Path | None = Field(None, description="TLS: the key of cert_file (PEM); left out, it is in cert_file.")
    server_name: str | None = Field(None, description="TLS: the name in the server's certificate; left out, `host`.")

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in."""
        return "gelf"

    @property
    def room(self) -> int:
        """Bytes that a document may have."""
        return self.max_bytes

    @property
    def trust(self) -> Trust | None:
        """How TLS is spoken, None for plain TCP."""
        if self.transport == "tcp":
            return None
        return Trust(self.server_name or self.host, self.ca_file, self.cert_file, self.key_file)

    @model_validator(mode="after")
    def _tls_has_its_settings_alone(self) -> Self:
        given = [name for name in ("ca_file", "cert_file", "key_file", "server_name") if getattr(self, name) is not None]
        if given and self.transport != "tls":
            raise ValueError(f"{given[0]!r} is for transport: tls")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("'key_file' is given without 'cert_file'")
        return self


class GelfSink:
    """Sends to one input."""

    def __init__(self, settings: GelfSettings) -> None:
        """Connect to nothing yet."""
        self._where = f"{settings.host}:{settings.port}"
        self._stream = Stream((settings.host, settings.port), settings.trust)

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Send *documents*; on any trouble all of them are to be tried again, on a new connection."""
        try:
            self._stream.send([document.body.replace(b"\0", b" ") + b"\0" for document in documents])
        except OSError as error:
            return [Retry(f"{self._where}: {error.strerror or error}")] * len(documents)
        return [Delivered()] * len(documents)

    def close(self) -> None:
        """Close the connection in order."""
        self._stream.close()


SINK = SinkKind(name="gelf", settings=GelfSettings, open=GelfSink, batch=100)
