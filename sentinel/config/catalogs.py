"""What a configuration may say of rules beside its folders of service files."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class RulesPack(BaseModel):
    """A signed catalog that `sentinel rules update` installs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(description="Where it lies. As long as there is none, the built-in catalog is in force.")
    keys: list[Path] = Field(min_length=1, description="Public keys (Ed25519, PEM); one of them has to have signed it.")
