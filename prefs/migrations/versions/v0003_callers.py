"""Callers that guestprefs lets in itself: devices, grants, stay links, and what was revoked."""

import sqlalchemy as sa
from alembic import op

from prefs.store.tables import KEY, Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credential",
        sa.Column("kind", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("property", KEY, nullable=False),
        sa.Column("guest_id", KEY, nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["guest_id"], ["guest.id"], name="fk_credential_guest_id_guest", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("kind", "id", name="pk_credential"),
    )
    op.create_index("ix_credential_kind_property_id", "credential", ["kind", "property", "id"], unique=False)
    op.create_index("ix_credential_expires_at", "credential", ["expires_at"], unique=False)
    op.create_index("ix_credential_guest_id", "credential", ["guest_id"], unique=False)
    op.create_table(
        "revocation",
        sa.Column("kind", KEY, nullable=False),
        sa.Column("value", KEY, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", name="pk_revocation"),
    )
