"""What a configuration may say of rules beside its folders of service files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RulesPack(BaseModel):
    """A signed catalog that `sentinel rules update` installs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(description="Where it lies. As long as there is none, the built-in catalog is in force.")
    keys: list[Path] = Field(min_length=1, description="Public keys (Ed25519, PEM); one of them has to have signed it.")


class FeedEntry(BaseModel):
    """A list of names that others keep, watched for as a service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", description="The service's id, of no other service.")
    name: str | None = Field(None, description="What it is called in alerts; left out, the id.")
    path: Path = Field(description="The list. It is read again when it changes.")
    format: Literal["plain", "misp", "stix"] = Field(
        "plain", description="Text with a name a line, hosts, adblock or CSV; MISP's JSON; a STIX 2.1 bundle."
    )
    category: Literal["face-search", "forensic-face-recognition", "reverse-image"] = "face-search"
    severity: Literal["info", "low", "medium", "high", "critical"] = "medium"
    references: list[str] = Field(default_factory=list, description="Who says so.")
