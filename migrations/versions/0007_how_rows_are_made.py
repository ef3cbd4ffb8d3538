"""How rows are made, pinned exclusions, limited loads, and what was about forgotten contacts

Revision: 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)
SINCE = "Limit of the plan: only objects updated since; null for none"
NEW_SINCE = "Limit of backfill --since: only objects updated since come in unasked; null for none"
MAPPING = "Mapping and API version of the last full pass that succeeded"
NEW_MAPPING = (
    "How the last full pass that succeeded made its rows: declarations, API version and"
    " exclusions; null if rows were written from anything else since"
)


def upgrade() -> None:
    op.add_column(
        "sync_workspace",
        sa.Column(
            "exclusions_pinned_at",
            INSTANT,
            nullable=True,
            comment="When a whole run last pinned what CONNECTOR_EXCLUDE keeps out; null before the"
            " first",
        ),
    )
    # Every sync pinned them so far.
    op.execute("UPDATE sync_workspace SET exclusions_pinned_at = pinned_at")
    op.add_column(
        "sync_state",
        sa.Column(
            "limited_at",
            INSTANT,
            nullable=True,
            comment="When that limit was set, by Intercom's clock; null for none",
        ),
    )
    op.add_column(
        "sync_state",
        sa.Column(
            "plan_mapping",
            sa.Text(),
            nullable=True,
            comment="How the full pass that is under way makes its rows, as mapping; null if none"
            " is",
        ),
    )
    op.alter_column("sync_state", "plan_since", comment=NEW_SINCE, existing_comment=SINCE)
    op.alter_column("sync_state", "mapping", comment=NEW_MAPPING, existing_comment=MAPPING)
    # What is read beside objects gets a mapping of its own: as ever, so that it is not read anew.
    op.execute(
        "UPDATE sync_state SET mapping = '' WHERE mapping IS NOT NULL AND resource IN"
        " ('contact_notes', 'contact_subscriptions', 'contact_segments')"
    )
    op.add_column(
        "sync_forgotten",
        sa.Column(
            "rows_noted_at",
            INSTANT,
            nullable=True,
            comment="When its rows were noted in sync_forgotten_rows; null if they were not yet",
        ),
    )
    op.create_table(
        "sync_forgotten_rows",
        sa.Column("table_name", sa.Text(), nullable=False, comment="Table of the row"),
        sa.Column("id", sa.Text(), nullable=False, comment="Intercom's id of the object"),
        sa.Column(
            "about",
            sa.Text(),
            nullable=False,
            comment="Column or link table that named the contact",
        ),
        sa.Column("contact_id", sa.Text(), nullable=False, comment="The forgotten contact"),
        sa.PrimaryKeyConstraint("table_name", "id", "about", "contact_id"),
        comment="What was about a forgotten contact: it stays empty, also where a merge gives it to"
        " another.",
    )


def downgrade() -> None:
    op.drop_table("sync_forgotten_rows")
    op.drop_column("sync_forgotten", "rows_noted_at")
    op.alter_column("sync_state", "mapping", comment=MAPPING, existing_comment=NEW_MAPPING)
    op.alter_column("sync_state", "plan_since", comment=SINCE, existing_comment=NEW_SINCE)
    op.drop_column("sync_state", "plan_mapping")
    op.drop_column("sync_state", "limited_at")
    op.drop_column("sync_workspace", "exclusions_pinned_at")
