"""Sessions of the console, and what loading a file would do as it shows it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "console_sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("api_key_id", BIG_ID, sa.ForeignKey("api_keys.id"), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_index("ix_console_sessions_expires_at", "console_sessions", ["expires_at"])
    op.create_table(
        "scan_stories",
        sa.Column("scan_id", sa.String(32), sa.ForeignKey("scans.id"), primary_key=True),
        sa.Column("story", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("scan_stories")
    op.drop_table("console_sessions")
