"""Comments: where pending objects stand, and full passes that were tried

Revision: 0008, after 0007.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table_comment(
        "sync_pending",
        "What must be read again, one by one; a row goes when its object was read.",
        existing_comment=(
            "Objects that must be read again, one by one; a row goes when its object was read."
        ),
    )
    op.alter_column(
        "sync_pending",
        "id",
        comment="Intercom's id of the object, or where in its list it stands if that is all",
        existing_comment="Intercom's id of the object",
        existing_nullable=False,
    )
    op.alter_column(
        "sync_state",
        "full_reason",
        comment=(
            "Why it is owed: first, asked, mapping or due; tried if it failed since, whatever it"
            " was"
        ),
        existing_comment="Why it is owed: first, asked, mapping or due",
        existing_nullable=True,
    )


def downgrade() -> None:
    op.alter_column(
        "sync_state",
        "full_reason",
        comment="Why it is owed: first, asked, mapping or due",
        existing_nullable=True,
    )
    op.alter_column(
        "sync_pending", "id", comment="Intercom's id of the object", existing_nullable=False
    )
    op.create_table_comment(
        "sync_pending",
        "Objects that must be read again, one by one; a row goes when its object was read.",
    )
