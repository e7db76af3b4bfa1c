"""Tombstones of erased guests."""

import sqlalchemy as sa
from alembic import op

from prefs.store.tables import KEY, Instant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasure",
        sa.Column("digest", KEY, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("places", sa.JSON(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_erasure"),
    )
    op.create_index("ix_erasure_at", "erasure", ["at"], unique=False)
