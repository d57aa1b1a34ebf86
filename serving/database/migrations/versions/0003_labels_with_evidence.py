"""Labels keep their evidence and can be taken back; scans keep their floor and shape."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCANS = ("floor", "guarded", "shape")
LABELS = ("evidence", "guarded", "retracts")


def upgrade() -> None:
    op.add_column("scans", sa.Column("floor", sa.Double))
    op.add_column("scans", sa.Column("guarded", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("scans", sa.Column("shape", sa.String(16)))
    op.add_column("labels", sa.Column("evidence", sa.JSON))
    op.add_column("labels", sa.Column("guarded", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("labels", sa.Column("retracts", sa.BigInteger().with_variant(sa.Integer, "sqlite")))
    op.create_index("ix_labels_author_id_at", "labels", ["author_id", "at"])


def downgrade() -> None:
    op.drop_index("ix_labels_author_id_at", "labels")
    for table, columns in (("scans", SCANS), ("labels", LABELS)):
        for column in columns:
            op.drop_column(table, column)
