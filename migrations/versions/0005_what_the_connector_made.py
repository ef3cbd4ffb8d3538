"""What the connector made

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sync_relations",
        sa.Column("name", sa.Text(), nullable=False, comment="Name of the relation"),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="r table, v view, i index or S sequence"
        ),
        sa.Column(
            "definition",
            sa.Text(),
            nullable=True,
            comment="The query of a view, without the name of the schema",
        ),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=True,
            comment="MD5 of what PostgreSQL showed as that query when it was made",
        ),
        sa.Column(
            "comments",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Comments that were put on a view, by column; on itself under ''",
        ),
        sa.PrimaryKeyConstraint("name"),
        comment="What this connector made in the schema; a relation of any other name is somebody else's.",
    )
    _describe(
        model="What the attribute describes: contact, company, conversation or ticket",
        name="Its key in the map of values",
    )


def _describe(**comments: str) -> None:
    for column, comment in comments.items():
        op.alter_column("custom_columns", column, existing_type=sa.Text(), comment=comment)


def downgrade() -> None:
    _describe(
        model="What the attribute describes: contact, company or conversation",
        name="Its key in custom_attributes",
    )
    op.drop_table("sync_relations")
