"""What a challenger says in shadow, and what labels of other files raised."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scans", sa.Column("raised", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "shadow_scores",
        sa.Column("scan_id", sa.String(32), sa.ForeignKey("scans.id"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("seconds", sa.Double, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("shadow_scores")
    op.drop_column("scans", "raised")
