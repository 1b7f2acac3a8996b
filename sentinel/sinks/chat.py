"""What sinks that people read have in common: where more is to be seen."""

from __future__ import annotations

from pydantic import BaseModel, Field

from sentinel.activity.records import Alert
from sentinel.schemas import MESSAGES
from sentinel.schemas.fit import Schema


class Linked(BaseModel):
    """Settings of a sink that people read."""

    link: str | None = Field(
        None, pattern=r"^https?://", description="Where more is to be seen; `{session}` and `{alert}` are filled in."
    )

    def message(self, name: str) -> Schema:
        """Return what writes the message called *name*, with this link in it."""

        def written(alert: Alert, sensor: str) -> bytes:
            return MESSAGES[name](alert, sensor, self.link)

        return written
