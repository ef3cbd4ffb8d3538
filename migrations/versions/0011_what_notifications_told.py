"""What notifications told

Revision: 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sync_inbox",
        sa.Column("resource", sa.Text(), nullable=False, comment="Name of the table"),
        sa.Column(
            "id",
            sa.Text(),
            nullable=False,
            comment="Intercom's id of the object; * means the whole list",
        ),
        sa.Column(
            "version",
            sa.BigInteger(),
            nullable=False,
            comment="Another one at each telling, so that only what was read since is settled",
        ),
        sa.Column(
            "announced",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Which updated_at was told, to the second; of events the newest",
        ),
        sa.Column(
            "gone",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="Whether a notification told that it was deleted or archived",
        ),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="How often it was read in vain since it was last told",
        ),
        sa.Column(
            "not_before",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="Not read before",
        ),
        sa.Column(
            "first_told_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When it was first told",
        ),
        sa.Column(
            "told_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When it was last told",
        ),
        sa.PrimaryKeyConstraint("resource", "id"),
        comment="Objects that a notification told of and that were not read since. All instants"
        " but announced are by the database's clock.",
    )
    op.create_index("ix_sync_inbox_not_before", "sync_inbox", ["not_before"], unique=False)
    op.create_table(
        "sync_topics",
        sa.Column("topic", sa.Text(), nullable=False, comment="Topic of the notification"),
        sa.Column("received", sa.BigInteger(), nullable=False, comment="How many came"),
        sa.Column(
            "ignored",
            sa.BigInteger(),
            nullable=False,
            comment="How many of them named no object that is mirrored, or another workspace",
        ),
        sa.Column(
            "last_received_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the last one came, by the database's clock",
        ),
        sa.PrimaryKeyConstraint("topic"),
        comment="Which notifications came, by topic.",
    )


def downgrade() -> None:
    op.drop_table("sync_topics")
    op.drop_index("ix_sync_inbox_not_before", table_name="sync_inbox")
    op.drop_table("sync_inbox")
