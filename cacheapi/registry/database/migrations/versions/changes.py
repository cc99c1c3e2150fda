"""Which change each row is of, what was removed, and which changes say neither."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = ("service", "api_key", "ended_session")


def upgrade() -> None:
    """Add the columns and the table; an earlier version that still runs knows none of them."""
    for name in TABLES:
        op.add_column(name, sa.Column("changed", sa.BigInteger, nullable=False, server_default="0"))
        op.create_index(f"ix_{name}_changed", name, ["changed"])
    op.create_table(
        "removed",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64)),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_removed_changed", "removed", ["changed"])
    for name in ("told", "untold"):
        op.add_column("version", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE version SET told = number, untold = number")


def downgrade() -> None:
    """Drop them."""
    for name in ("untold", "told"):
        op.drop_column("version", name)
    op.drop_table("removed")
    for name in TABLES:
        op.drop_index(f"ix_{name}_changed", name)
        op.drop_column(name, "changed")
