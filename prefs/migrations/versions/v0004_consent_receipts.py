"""Consents get an end, a notice and a number; receipts, invitations and waiting imports get tables."""

import sqlalchemy as sa
from alembic import op

from prefs.store.tables import KEY, Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("consent", sa.Column("expires_at", Instant(), nullable=True))
    op.add_column("consent", sa.Column("notice", sa.Text(), nullable=False, server_default=""))
    op.add_column("consent", sa.Column("method", sa.Text(), nullable=False, server_default=""))
    op.add_column("consent", sa.Column("receipt", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "receipt",
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("purpose", KEY, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["guest_id"], ["guest.id"], name="fk_receipt_guest_id_guest", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("guest_id", "purpose", "version", name="pk_receipt"),
    )
    op.create_table(
        "invitation",
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("keys", sa.JSON(), nullable=False),
        sa.Column("property", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("answered_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["guest_id"], ["guest.id"], name="fk_invitation_guest_id_guest", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("guest_id", "id", name="pk_invitation"),
    )
    op.create_table(
        "waiting",
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["guest_id"], ["guest.id"], name="fk_waiting_guest_id_guest", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("guest_id", "id", name="pk_waiting"),
    )
    op.create_index("ix_waiting_expires_at", "waiting", ["expires_at"], unique=False)
    op.create_index("ix_idempotency_guest_id", "idempotency", ["guest_id"], unique=False)
