"""The settings model: what `sentinel run -c FILE` reads.

store: /var/lib/sentinel/state.db
timezone: America/Los_Angeles
policy: {networks: [{name: Detective Bureau, cidr: [10.20.0.0/16]}]}
sources:
  - {type: file, path: /var/log/squid/access.log}
sinks:
  - {type: syslog, name: siem, host: siem.example, port: 6514, transport: tls, schema: cef}
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from sentinel.config.catalogs import FeedEntry, RulesPack
from sentinel.config.identities import IdentitySource
from sentinel.config.listeners import DnstapSource, SyslogSource
from sentinel.config.words import FormatName, Zone
from sentinel.formats import named
from sentinel.packets.ports import NEIGHBOURS
from sentinel.policy.file import PolicyFile
from sentinel.sinks import KINDS


class FileSource(BaseModel):
    """A log file that grows, or a glob of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["file"]
    path: str | list[str] = Field(description="Path or glob, or several; files that appear later are followed too.")
    format: FormatName | None = Field(None, description="The log's format; left out, it is told from the records.")
    logformat: str | None = Field(None, description="With `format: squid`: what stands behind the name in its `logformat`.")
    timezone: Zone | None = Field(None, description="Zone of times that carry none; left out, the file's `timezone` above.")
    start: Literal["beginning", "end"] = Field("beginning", description="Where a file that was never read begins to be.")
    poll_secs: float = Field(1.0, gt=0, le=300, description="How often a file is looked at when no event tells of it.")

    @model_validator(mode="after")
    def _squid_has_its_logformat(self) -> FileSource:
        if (self.format == "squid") != (self.logformat is not None):
            raise ValueError("'format: squid' and 'logformat' go together; there are squid-native and others")
        if self.reads_as is not None:
            named(self.reads_as)
        return self

    @property
    def reads_as(self) -> str | None:
        """The format's name as `formats.named` takes it, None where the format is told from the records."""
        return self.format if self.logformat is None else f"squid:{self.logformat}"

    def patterns(self) -> list[str]:
        """Return the paths and globs as a list."""
        return [self.path] if isinstance(self.path, str) else list(self.path)


class CaptureSource(BaseModel):
    """A capture file that is still being written, as `tcpdump -U -w` writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["capture"]
    path: str = Field(description="The file; it may appear later.")

    def patterns(self) -> list[str]:
        """Return the path as a list."""
        return [self.path]


class DatabaseSource(BaseModel):
    """A database that a program adds rows to: Pi-hole's, or a browser's history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["database"]
    path: str = Field(description="The file; it may appear later.")
    poll_secs: float = Field(10.0, gt=0, le=3600, description="How often it is looked at.")

    def patterns(self) -> list[str]:
        """Return the path as a list."""
        return [self.path]


class InterfaceSource(BaseModel):
    """A network interface: a mirror port, a tap, or a gateway's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["interface"]
    interface: str = Field(
        min_length=1, max_length=15, pattern=r"^[^\s/]+$", description="Its name, as `ip link` shows it; it may appear later."
    )
    ring_mib: int = Field(64, ge=2, le=4096, description="Memory in MiB, of each worker, where packets wait to be read.")
    workers: int = Field(1, ge=1, le=64, description="Processes that share the packets; one reads about what one core can.")
    outgoing: bool = Field(False, description="Whether to read what this machine itself sends, too.")

    def patterns(self) -> list[str]:
        """Return no files: an interface is none."""
        return []


def _is_no_neighbours(port: int) -> int:
    if port in NEIGHBOURS:
        raise ValueError(f"port {port} is where neighbours ask each other (mDNS, LLMNR): no DNS query for a name elsewhere")
    return port


DnsPort = Annotated[int, Field(ge=1, le=65535), AfterValidator(_is_no_neighbours)]
Source = Annotated[
    FileSource | CaptureSource | InterfaceSource | SyslogSource | DnstapSource | DatabaseSource, Field(discriminator="type")
]


class Common(BaseModel):
    """Every setting but the sinks, whose models lie beside them."""

    model_config = ConfigDict(extra="forbid")

    store: str = Field("sentinel.db", description="Path of the SQLite store, or a database URL.")
    rules: list[Path] = Field(default_factory=list, description="Folders of service files, added to the built-in ones.")
    mappings: list[Path] = Field(default_factory=list, description="Mapping files, or folders of them: formats of your own.")
    builtin_rules: bool = Field(True, description="Whether the built-in catalog is used.")
    rules_pack: RulesPack | None = Field(None, description="A signed catalog in place of the built-in one.")
    feeds: list[FeedEntry] = Field(default_factory=list, description="Lists of names that others keep, watched as services.")
    policy: PolicyFile = Field(default_factory=PolicyFile, description="What is allowed, and what is never recorded.")
    policy_file: Path | None = Field(None, description="A file that holds the policy, in place of `policy`.")
    identity: list[IdentitySource] = Field(default_factory=list, description="What tells who had which address.")
    timezone: Zone | None = Field(None, description="Zone of times that carry none; left out, the machine's.")
    session_gap_minutes: float = Field(30, gt=0, description="A session ends after so many minutes without a finding.")
    dns_ports: list[DnsPort] = Field([53], description="Ports where packets are DNS, over UDP and TCP.")
    sources: list[Source] = Field(min_length=1, description="What is read.")

    @property
    def gap(self) -> timedelta:
        """The session gap as a duration."""
        return timedelta(minutes=self.session_gap_minutes)

    @model_validator(mode="after")
    def _one_policy(self) -> Common:
        if self.policy_file and self.policy != PolicyFile():
            raise ValueError("both 'policy' and 'policy_file' are given; keep one")
        return self


def settings_for(types: Iterable[str]) -> Any:
    """Return the settings model of a configuration that has sinks of *types*.

    Only those kinds are imported, with their libraries. One that there is not brings all of them, to be told in the message.
    """
    named = tuple(sorted(set(types))) or ("stdout",)
    return _settings(named if all(name in KINDS for name in named) else tuple(KINDS))


@functools.cache
def _settings(types: tuple[str, ...]) -> Any:
    # Put together at run time, which mypy cannot follow.
    models = [KINDS[name].settings for name in types]
    union: Any = functools.reduce(operator.or_, models)
    sink: Any = union if len(models) == 1 else Annotated[union, Field(discriminator="type")]
    return create_model(
        "Settings",
        __base__=Common,
        __doc__="All of the configuration file.",
        sinks=(list[sink], Field(default_factory=list, description="Where alerts go.")),
    )
