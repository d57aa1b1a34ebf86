"""How credible the score of a scan is; unknown of those stored before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scans", sa.Column("credibility", sa.Double))


def downgrade() -> None:
    op.drop_column("scans", "credibility")
