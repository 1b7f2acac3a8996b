"""JSON lines on standard output, for containers and for whatever starts Sentinel and reads what it prints."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from sentinel.sinks.kind import SinkKind, SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Outcome, Retry

WRITE_SECS = 5.0
"""How long a reader may take; then the rest is tried again."""


class StdoutSettings(SinkSettings):
    """Standard output."""

    type: Literal["stdout"]
    schema_: Literal["json", "ecs", "ocsf", "cim", "asim", "cloudevents", "gelf", "cef", "leef"] = Field(
        "json", alias="schema", description="How alerts are written."
    )

    @property
    def schema_name(self) -> str:
        """The schema that documents are written in."""
        return self.schema_


class StdoutSink:
    """Writes a line for each alert. Half a line is ended before the next one."""

    def __init__(self, settings: StdoutSettings) -> None:
        """Write nothing yet."""
        del settings  # there is nothing to set but the schema
        self._torn = False

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Write *documents*. `Delivered` means that the reader's end of the pipe has them."""
        try:
            handle = sys.stdout.fileno()
            lines = b"".join(document.body + b"\n" for document in documents)
            rest, deadline = (b"\n" if self._torn else b"") + lines, time.monotonic() + WRITE_SECS
            while rest:
                self._torn = True
                if not select.select([], [handle], [], max(0.0, deadline - time.monotonic()))[1]:
                    return [Retry("nobody reads standard output")] * len(documents)
                rest = rest[os.write(handle, rest[: select.PIPE_BUF]) :]
            self._torn = False
        except (OSError, ValueError) as error:
            return [Retry(f"standard output: {error}")] * len(documents)
        return [Delivered()] * len(documents)

    def close(self) -> None:
        """Leave standard output as it is: it is not ours."""


SINK = SinkKind(name="stdout", settings=StdoutSettings, open=StdoutSink, batch=100)
