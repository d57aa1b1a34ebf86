"""Lists of scans, the audit log, keys that expire, answers that may be asked for again, and a log without gaps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)
LISTED_BY = ("verdict", "name", "container", "model_version", "api_key_id")
EVENTS_LOCK = 0x5AFE9C72


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("expires_at", MOMENT))
    op.create_table(
        "audit",
        sa.Column("id", BIG_ID, primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("key_id", BIG_ID, sa.ForeignKey("api_keys.id")),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "idempotent_scans",
        sa.Column("api_key_id", BIG_ID, sa.ForeignKey("api_keys.id"), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("scan_id", sa.String(32), sa.ForeignKey("scans.id"), nullable=False),
        sa.Column("label", sa.JSON),
    )
    op.create_index("ix_idempotent_scans_at", "idempotent_scans", ["at"])
    for column in LISTED_BY:
        op.create_index(f"ix_scans_{column}_id", "scans", [column, "id"])
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{action.lower()} BEFORE {action} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END"
            )
    else:
        _postgresql_triggers()


def _postgresql_triggers() -> None:
    op.execute(
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = '23000'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    for table in ("events", "labels", "audit"):
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    # A sequence gives ids before the transaction commits, and commits come in any order. A trigger for the statement
    # runs before its first id is taken, so under this lock ids become visible in their order.
    op.execute(
        "CREATE FUNCTION append_alone() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_advisory_xact_lock({EVENTS_LOCK}); RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER events_append_alone BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION append_alone()"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP TRIGGER events_append_alone ON events")
        op.execute("DROP FUNCTION append_alone()")
        for table in ("events", "labels"):
            op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
    for column in LISTED_BY:
        op.drop_index(f"ix_scans_{column}_id", "scans")
    op.drop_table("idempotent_scans")
    op.drop_table("audit")
    op.drop_column("api_keys", "expires_at")
