"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables for evidence, what was concluded from it, what goes out, and what was read."""
    _evidence()
    _outgoing()
    _reading()


def _evidence() -> None:
    op.create_table(
        "findings",
        sa.Column("seq", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("service", sa.Text, nullable=False, index=True),
        sa.Column("time", sa.String(27), nullable=False, index=True),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("service", sa.Text, nullable=False, index=True),
        sa.Column("open", sa.Boolean, nullable=False, index=True),
        sa.Column("started", sa.String(27), nullable=False, index=True),
        sa.Column("ended", sa.String(27), nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "memberships",
        sa.Column("finding", sa.String(64), sa.ForeignKey("findings.id"), primary_key=True),
        sa.Column("session", sa.String(64), sa.ForeignKey("sessions.id"), nullable=False, index=True),
    )


def _outgoing() -> None:
    op.create_table(
        "alerts",
        sa.Column("seq", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(40), nullable=False, unique=True),
        sa.Column("session", sa.String(64), index=True),
        sa.Column("created", sa.String(27), nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("alert", sa.String(40), sa.ForeignKey("alerts.id"), primary_key=True),
        sa.Column("sink", sa.String(255), primary_key=True),
        sa.Column("queued", sa.BigInteger, nullable=False),
        sa.Column("lane", sa.String(64), nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.String(27), nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("delivered_at", sa.String(27)),
    )
    op.create_index("ix_outbox_order", "outbox", ["sink", "state", "queued"])
    op.create_index("ix_outbox_lane", "outbox", ["lane", "sink", "state", "queued"])


def _reading() -> None:
    op.create_table("positions", sa.Column("key", sa.Text, primary_key=True), sa.Column("body", sa.Text, nullable=False))
    op.create_table(
        "coverage",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("hour", sa.String(27), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("parsed", sa.BigInteger, nullable=False),
        sa.Column("unparsed", sa.BigInteger, nullable=False),
        sa.Column("sampled", sa.Boolean, nullable=False),
        sa.Column("unreadable", sa.Text, nullable=False),
    )
    op.create_table("inputs", sa.Column("path", sa.Text, primary_key=True), sa.Column("body", sa.Text, nullable=False))
    op.create_table(
        "rulesets",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("first_used", sa.String(27), nullable=False),
    )
    op.create_table("meta", sa.Column("name", sa.String(64), primary_key=True), sa.Column("value", sa.Text, nullable=False))
