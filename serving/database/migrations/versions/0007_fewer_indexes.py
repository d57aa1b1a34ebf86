"""Scans without an index by moment: their ids sort by age, and every scan that is stored pays for each index."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_scans_at", table_name="scans")


def downgrade() -> None:
    op.create_index("ix_scans_at", "scans", ["at"])
