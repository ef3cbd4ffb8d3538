"""What is seen of facts that are false

Revision: 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sync_refuted_facts",
        sa.Column("fact", sa.Text(), nullable=False, comment="Its name in docs/facts.md"),
        sa.Column(
            "detail", sa.Text(), nullable=False, comment="What was seen last, without values"
        ),
        sa.Column(
            "resources",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Resources of which it was seen and not confirmed since",
        ),
        sa.Column("times", sa.BigInteger(), nullable=False, comment="How often it was seen"),
        sa.Column(
            "first_seen_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When a run first saw it",
        ),
        sa.Column(
            "last_seen_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When a run last saw it",
        ),
        sa.PrimaryKeyConstraint("fact"),
        comment="What is taken to be true of Intercom and was seen to be false in this workspace.",
    )
    op.add_column(
        "sync_pending",
        sa.Column(
            "announced_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Which updated_at a search announced; null if none did",
        ),
    )
    op.add_column(
        "sync_state",
        sa.Column(
            "control_id",
            sa.Text(),
            nullable=True,
            comment="Newest object of the last pass: the next search must show it",
        ),
    )
    op.add_column(
        "sync_state",
        sa.Column(
            "control_updated_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="updated_at of that object, as the search showed it",
        ),
    )


def downgrade() -> None:
    op.drop_column("sync_pending", "announced_at")
    op.drop_column("sync_state", "control_updated_at")
    op.drop_column("sync_state", "control_id")
    op.drop_table("sync_refuted_facts")
