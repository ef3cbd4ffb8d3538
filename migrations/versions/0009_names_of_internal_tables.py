"""Internal tables by the field's words: partitions, deletion candidates, unlisted, due

Revision: 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

RENAMED = (
    ("sync_windows", "sync_partitions"),
    ("sync_nominees", "sync_deletion_candidates"),
    ("sync_hidden", "sync_unlisted"),
)
DUE = "full_owed_since", "full_due_since"
COMMENTS = (
    (
        "sync_state",
        "full_due_since",
        "Since when a full pass is owed; null if none is",
        "Since when a full pass is due; null if none is",
    ),
    (
        "sync_state",
        "full_reason",
        "Why it is owed: first, asked, mapping or due; tried if it failed since, whatever it was",
        "Why it is due: first, asked, mapping or, by its age, due; tried if it failed since",
    ),
    (
        "sync_partitions",
        "lower_bound",
        "First created_at of the window; -infinity where it has none",
        "First created_at of the partition; -infinity where it has none",
    ),
    (
        "sync_partitions",
        "upper_bound",
        "First created_at after the window; infinity where there is none",
        "First created_at after the partition; infinity where there is none",
    ),
    (
        "sync_partitions",
        "finished_at",
        "When the window's rows were committed; null if they were not",
        "When its rows were committed; null if they were not",
    ),
    (
        "sync_unlisted",
        "reads",
        "How often, since it is hidden",
        "How often, since it is unlisted",
    ),
)
BEFORE = "Windows of the full passes that are under way; they go when their pass has succeeded."
AFTER = "Partitions of the full passes that are under way; they go when their pass has succeeded."


def upgrade() -> None:
    for old, new in RENAMED:
        _rename(old, new)
    op.alter_column("sync_state", DUE[0], new_column_name=DUE[1])
    op.create_table_comment("sync_partitions", AFTER, existing_comment=BEFORE)
    for table, column, before, after in COMMENTS:
        op.alter_column(table, column, comment=after, existing_comment=before)


def downgrade() -> None:
    for table, column, before, after in COMMENTS:
        op.alter_column(table, column, comment=before, existing_comment=after)
    op.create_table_comment("sync_partitions", BEFORE, existing_comment=AFTER)
    op.alter_column("sync_state", DUE[1], new_column_name=DUE[0])
    for old, new in RENAMED:
        _rename(new, old)


def _rename(old: str, new: str) -> None:
    """The table, its key and, where PostgreSQL names them, its NOT NULL constraints."""
    op.rename_table(old, new)
    if op.get_context().as_sql:
        return  # no database to ask
    found = sa.text(
        "SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(:name)"
        " AND starts_with(conname, :before)"
    ).bindparams(name=new, before=f"{old}_")
    for (name,) in op.get_bind().execute(found).fetchall():
        op.execute(f'ALTER TABLE "{new}" RENAME CONSTRAINT "{name}" TO "{new}{name[len(old) :]}"')
