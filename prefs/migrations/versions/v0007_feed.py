"""An index in the order in which the feed is told, and a table for what it tells beside changes.

What writes meanwhile without knowing of them says less to streams, and nothing wrong.
"""

import sqlalchemy as sa
from alembic import op

from prefs.store.tables import KEY, XID, CurrentTransaction, Instant

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feed_event",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("xid", XID, server_default=CurrentTransaction(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("guest_id", KEY, nullable=False),
        sa.Column("place", KEY, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_feed_event"),
    )
    op.create_index("ix_feed_event_xid_position", "feed_event", ["xid", "position"], unique=False)
    op.create_index("ix_feed_event_guest_id", "feed_event", ["guest_id"], unique=False)
    op.create_index("ix_change_xid_position", "change", ["xid", "position"], unique=False)
