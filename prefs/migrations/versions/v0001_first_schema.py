"""The first schema: guests with entries and history, stays, properties, extensions, idempotency answers."""

import sqlalchemy as sa
from alembic import op

from prefs.store.tables import KEY, XID, CurrentTransaction, Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _guests()
    _history()
    _facts()


def _guests() -> None:
    op.create_table(
        "guest",
        sa.Column("id", KEY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_guest"),
    )
    op.create_table(
        "entry",
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("strength", sa.Text(), nullable=False),
        sa.Column("scope_kind", sa.Text(), nullable=False),
        sa.Column("scope_id", sa.Text(), nullable=False),
        sa.Column("context", sa.JSON(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("stated_at", Instant(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("entered", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["guest_id"], ["guest.id"], name="fk_entry_guest_id_guest", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("guest_id", "id", name="pk_entry"),
    )
    op.create_index("ix_entry_key_guest_id", "entry", ["key", "guest_id"], unique=False)
    op.create_table(
        "identifier",
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("system", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.ForeignKeyConstraint(["guest_id"], ["guest.id"], name="fk_identifier_guest_id_guest", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("guest_id", "system", "id", name="pk_identifier"),
        sa.UniqueConstraint("system", "id", name="uq_identifier_system_id"),
    )
    op.create_table(
        "consent",
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("purpose", KEY, nullable=False),
        sa.Column("granted_at", Instant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["guest_id"], ["guest.id"], name="fk_consent_guest_id_guest", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("guest_id", "purpose", name="pk_consent"),
    )


def _history() -> None:
    op.create_table(
        "change",
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("xid", XID, server_default=CurrentTransaction(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("keys", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["guest_id"], ["guest.id"], name="fk_change_guest_id_guest", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("guest_id", "version", name="pk_change"),
    )
    op.create_index("ix_change_position", "change", ["position"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("caller", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("answer", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["expires_at"], unique=False)


def _facts() -> None:
    op.create_table(
        "stay",
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("property", sa.Text(), nullable=False),
        sa.Column("arrival", Instant(), nullable=False),
        sa.Column("departure", Instant(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("trip", sa.Text(), nullable=False),
        sa.Column("adults", sa.Integer(), nullable=True),
        sa.Column("children", sa.Integer(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["guest_id"], ["guest.id"], name="fk_stay_guest_id_guest", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("guest_id", "id", name="pk_stay"),
        sa.UniqueConstraint("id", name="uq_stay_id"),
    )
    op.create_index("ix_stay_property", "stay", ["property"], unique=False)
    op.create_table(
        "live",
        sa.Column("stay_id", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("entry", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("stay_id", "key", "id", name="pk_live"),
    )
    op.create_table(
        "property",
        sa.Column("id", KEY, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_property"),
    )
    op.create_table(
        "extension",
        sa.Column("key", KEY, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_extension"),
    )
    op.create_table(
        "extension_version",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_extension_version"),
    )
