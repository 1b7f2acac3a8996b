"""The tables. Portable SQL alone: what is SQLite's own lies in `sqlite.py`.

Records are kept as JSON (`codec.py`), beside the few columns that are asked by. Times are text as `codec.stamp` writes it,
sorting as the times do. A change here needs a migration, and `REVISION` is its name.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

REVISION = "0002"

metadata = MetaData()


class Escaped(TypeDecorator[str]):
    """Text that strangers may write, as ASCII with JSON's escapes.

    A path or an answer may hold bytes that are not UTF-8 (as surrogates) or a NUL, which databases refuse.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """Escape on the way in."""
        return None if value is None else json.dumps(value)[1:-1]

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """Take the escapes away on the way out."""
        return None if value is None else str(json.loads(f'"{value}"'))


# SQLite makes only an INTEGER PRIMARY KEY the row's own number.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

findings = Table(
    "findings",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),  # 1, 2, 3, ... without a gap
    Column("id", String(64), nullable=False, unique=True),
    Column("service", Text, nullable=False, index=True),
    Column("time", String(27), nullable=False, index=True),  # of the observation
    Column("origin", Text, nullable=False),  # JSON: path and offset or frame
    Column("sha256", String(64), nullable=False),  # of `raw`
    Column("body", Text, nullable=False),  # the finding without `raw`
    Column("raw", LargeBinary, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("service", Text, nullable=False, index=True),
    Column("open", Boolean, nullable=False, index=True),
    Column("started", String(27), nullable=False, index=True),
    Column("ended", String(27), nullable=False, index=True),
    Column("body", Text, nullable=False),
)

# Apart from the findings: which session a finding belongs to is a conclusion, and changes when late records join two sessions.
memberships = Table(
    "memberships",
    metadata,
    Column("finding", String(64), ForeignKey("findings.id"), primary_key=True),
    Column("session", String(64), ForeignKey("sessions.id"), nullable=False, index=True),
)

alerts = Table(
    "alerts",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),  # the order in which they were raised
    Column("id", String(40), nullable=False, unique=True),
    Column("session", String(64), index=True),
    Column("created", String(27), nullable=False, index=True),
    Column("body", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("alert", String(40), ForeignKey("alerts.id"), primary_key=True),
    Column("sink", String(255), primary_key=True),
    Column("queued", BigInteger, nullable=False),  # the alert's seq
    Column("lane", String(64), nullable=False),  # alerts of one lane go out one after the other: the session's id
    Column("state", String(9), nullable=False),  # pending, delivered, dead
    Column("attempts", Integer, nullable=False),
    Column("next_at", String(27), nullable=False),
    Column("answer", Escaped),
    Column("delivered_at", String(27)),
    Index("ix_outbox_order", "sink", "state", "queued"),
    Index("ix_outbox_lane", "lane", "sink", "state", "queued"),
)

# What a receiver calls what it made of a session's alerts: a thread, an issue.
threads = Table(
    "threads",
    metadata,
    Column("lane", String(64), primary_key=True),
    Column("sink", String(255), primary_key=True),
    Column("reference", Escaped, nullable=False),
)

health = Table(
    "health",
    metadata,
    Column("sink", String(255), primary_key=True),
    Column("failures", Integer, nullable=False),  # one after the other; 0 while it delivers
    Column("since", String(27)),  # of the first of them
    Column("retry_at", String(27)),
    Column("reason", Escaped),  # of the last failure
    Column("delivered_at", String(27)),
    Column("forgotten", BigInteger, nullable=False),  # dead letters that went for the sake of the limit
)

positions = Table("positions", metadata, Column("key", Escaped, primary_key=True), Column("body", Text, nullable=False))

coverage = Table(
    "coverage",
    metadata,
    Column("path", Escaped, primary_key=True),
    Column("hour", String(27), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("parsed", BigInteger, nullable=False),
    Column("unparsed", BigInteger, nullable=False),
    Column("sampled", Boolean, nullable=False),
    Column("unreadable", Text, nullable=False),  # JSON: counts by kind
)

inputs = Table("inputs", metadata, Column("path", Escaped, primary_key=True), Column("body", Text, nullable=False))

rulesets = Table(
    "rulesets",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("body", Escaped, nullable=False),
    Column("first_used", String(27), nullable=False),
)

meta = Table("meta", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False))
