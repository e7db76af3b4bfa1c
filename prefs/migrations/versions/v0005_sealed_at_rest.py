"""Data keys of guests, and a place for what they seal beside everything that is sealed.

Nothing is sealed here, and what a release without a vault writes meanwhile stays readable: `guestprefs vault seal`.
"""

import sqlalchemy as sa
from alembic import op

from prefs.store.tables import KEY, Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wrapping_key",
        sa.Column("id", KEY, nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_wrapping_key"),
    )
    op.create_table(
        "retired_key",
        sa.Column("id", KEY, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_retired_key"),
    )
    op.create_table(
        "guest_key",
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("wrapped_by", KEY, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["guest_id"], ["guest.id"], name="fk_guest_key_guest_id_guest"),
        sa.ForeignKeyConstraint(["wrapped_by"], ["wrapping_key.id"], name="fk_guest_key_wrapped_by_wrapping_key"),
        sa.PrimaryKeyConstraint("guest_id", name="pk_guest_key"),
    )
    op.create_index("ix_guest_key_wrapped_by_guest_id", "guest_key", ["wrapped_by", "guest_id"], unique=False)
    for table in ("entry", "change", "live", "idempotency", "waiting"):
        op.add_column(table, sa.Column("sealed", sa.LargeBinary(), nullable=True))
