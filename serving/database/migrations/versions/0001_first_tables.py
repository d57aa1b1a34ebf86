"""First tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)
APPEND_ONLY = ("events", "labels")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_kind_id", "events", ["kind", "id"])
    op.create_table(
        "api_keys",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("handle", sa.String(16), nullable=False, unique=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
        sqlite_autoincrement=True,
    )
    _create_scans()
    _create_labels()
    op.create_table(
        "scan_novelties",
        sa.Column("scan_id", sa.String(32), sa.ForeignKey("scans.id"), primary_key=True),
        sa.Column("event_id", BIG_ID, sa.ForeignKey("events.id"), nullable=False),
        sa.Column("novelty", sa.Double),
    )
    op.create_table(
        "checkpoints",
        sa.Column("reader", sa.String(32), primary_key=True),
        sa.Column("event_id", sa.BigInteger, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("job", sa.String(32), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    _forbid_changes()


def _create_scans() -> None:
    op.create_table(
        "scans",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("container", sa.String(255), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("score", sa.Double),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("api_key_id", BIG_ID, sa.ForeignKey("api_keys.id")),
        sa.Column("findings", sa.JSON, nullable=False),
        sa.Column("detectors", sa.JSON, nullable=False),
        sa.Column("oddities", sa.JSON, nullable=False),
        sa.Column("trace", sa.LargeBinary),
    )
    op.create_index("ix_scans_sha256_at", "scans", ["sha256", "at"])
    op.create_index("ix_scans_at", "scans", ["at"])


def _create_labels() -> None:
    op.create_table(
        "labels",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("scan_id", sa.String(32), sa.ForeignKey("scans.id"), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("label", sa.String(16), nullable=False),
        sa.Column("author_id", BIG_ID, sa.ForeignKey("api_keys.id"), nullable=False),
        sa.Column("author", sa.String(100), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_labels_sha256_id", "labels", ["sha256", "id"])


def _forbid_changes() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for action in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in ("leases", "checkpoints", "scan_novelties", "labels", "scans", "api_keys", "events"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION refuse_change()")
