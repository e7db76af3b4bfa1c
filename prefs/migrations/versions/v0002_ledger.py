"""The ledger of accesses, and the names of its pseudonyms. On SQLite both lie in a file of their own, made when first
needed."""

import sqlalchemy as sa
from alembic import op

from prefs.store.tables import KEY

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.create_table(
        "ledger",
        sa.Column("writer", KEY, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("property", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("guest", KEY, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("purposes", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("writer", "seq", name="pk_ledger"),
    )
    op.create_index("ix_ledger_guest_at", "ledger", ["guest", "at"])
    op.create_index("ix_ledger_at", "ledger", ["at"])
    op.create_table(
        "ledger_name",
        sa.Column("digest", KEY, nullable=False),
        sa.Column("guest", KEY, nullable=False),
        sa.Column("pseudonym", KEY, nullable=False),
        sa.Column("mac", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_ledger_name"),
    )
    op.create_index("ix_ledger_name_pseudonym", "ledger_name", ["pseudonym"])
