"""What a configuration says of sources that tell who had which address."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from sentinel.config.words import Zone


class IdentitySource(BaseModel):
    """A lease file, log, table or directory export, or a folder of them; it may be rotated and written anew."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(description="The file or folder.")
    timezone: Zone | None = Field(None, description="Zone of times that carry none; left out, the file's `timezone` above.")
    skew: float = Field(
        0, ge=-86_400, le=86_400, description="By how many seconds the clock that writes it is ahead; negative: behind."
    )
