"""Lists of labels by what they are listed by: without an index, whoever asks for what nobody said reads all labels."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LISTED_BY = ("author", "model_version", "label")


def upgrade() -> None:
    for column in LISTED_BY:
        op.create_index(f"ix_labels_{column}_id", "labels", [column, "id"])
    op.create_index("ix_labels_at", "labels", ["at"])


def downgrade() -> None:
    op.drop_index("ix_labels_at", table_name="labels")
    for column in LISTED_BY:
        op.drop_index(f"ix_labels_{column}_id", table_name="labels")
