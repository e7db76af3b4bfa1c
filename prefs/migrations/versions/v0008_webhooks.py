"""Endpoints that are told of changes, and the log of what they were told.

Nothing that ran before knows of them, and what is erased meanwhile by such a process takes its rows along.
"""

import sqlalchemy as sa
from alembic import op

from prefs.store.tables import KEY, Instant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", KEY, nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("made_at", Instant(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("wrapped_by", KEY, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("lease", sa.Text(), nullable=False),
        sa.Column("leased_until", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["wrapped_by"], ["wrapping_key.id"], name="fk_webhook_wrapped_by_wrapping_key"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook"),
    )
    op.create_index("ix_webhook_wrapped_by", "webhook", ["wrapped_by"], unique=False)
    op.create_table(
        "webhook_delivery",
        sa.Column("endpoint_id", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("guest_id", KEY, nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_at", Instant(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("tried", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.JSON(), nullable=False),
        sa.Column("since", Instant(), nullable=True),
        sa.Column("next_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook.id"], name="fk_webhook_delivery_endpoint_id_webhook", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["guest_id"], ["guest.id"], name="fk_webhook_delivery_guest_id_guest", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("endpoint_id", "id", name="pk_webhook_delivery"),
    )
    op.create_index("ix_webhook_delivery_guest_id", "webhook_delivery", ["guest_id"], unique=False)
    op.create_index("ix_webhook_delivery_endpoint_id_at", "webhook_delivery", ["endpoint_id", "at"], unique=False)
    op.create_index(
        "ix_webhook_delivery_endpoint_id_next_at", "webhook_delivery", ["endpoint_id", "next_at"], unique=False
    )
