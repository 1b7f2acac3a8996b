"""How sinks fare, and what receivers call the thread of a session."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "threads",
        sa.Column("lane", sa.String(64), primary_key=True),
        sa.Column("sink", sa.String(255), primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
    )
    op.create_table(
        "health",
        sa.Column("sink", sa.String(255), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("since", sa.String(27)),
        sa.Column("retry_at", sa.String(27)),
        sa.Column("reason", sa.Text),
        sa.Column("delivered_at", sa.String(27)),
        sa.Column("forgotten", sa.BigInteger, nullable=False),
    )
