"""Answers about deletion candidates are remembered, and lists shorter than counted

Revision: 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "sync_nominees",
        sa.Column(
            "answer",
            sa.Text(),
            nullable=True,
            comment="What was found out: gone, archived or merged (asked by id), told (by a feed or a record); null while nobody has asked",
        ),
    )
    op.add_column(
        "sync_nominees",
        sa.Column(
            "answered_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When that was found out, by Intercom's clock",
        ),
    )
    op.add_column(
        "sync_nominees",
        sa.Column(
            "deleted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was deleted or merged, where Intercom told the time",
        ),
    )
    op.create_table_comment(
        "sync_nominees",
        "Deletion candidates: rows whose objects seem to be gone, and why; all that a run finds are marked deleted together at its end, or, where they are implausibly many, none.",
        existing_comment="Rows that a complete list omitted; a read by id tells whether their objects are gone.",
    )
    op.alter_column(
        "sync_nominees",
        "resource",
        existing_type=sa.Text(),
        existing_nullable=False,
        comment="Name of the resource that found it, or of its table",
        existing_comment="Name of the resource",
    )
    op.add_column(
        "sync_reads",
        sa.Column(
            "short_reads",
            sa.Integer(),
            nullable=True,
            comment="How often in a row its list was shorter than Intercom counts; null if it was not",
        ),
    )
    op.add_column(
        "sync_reads",
        sa.Column(
            "again_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When a list that was too short is asked for again, by Intercom's clock",
        ),
    )


def downgrade() -> None:
    op.drop_column("sync_reads", "again_at")
    op.drop_column("sync_reads", "short_reads")
    op.alter_column(
        "sync_nominees",
        "resource",
        existing_type=sa.Text(),
        existing_nullable=False,
        comment="Name of the resource",
        existing_comment="Name of the resource that found it, or of its table",
    )
    op.create_table_comment(
        "sync_nominees",
        "Rows that a complete list omitted; a read by id tells whether their objects are gone.",
        existing_comment="Deletion candidates: rows whose objects seem to be gone, and why; all that a run finds are marked deleted together at its end, or, where they are implausibly many, none.",
    )
    op.drop_column("sync_nominees", "deleted_at")
    op.drop_column("sync_nominees", "answered_at")
    op.drop_column("sync_nominees", "answer")
