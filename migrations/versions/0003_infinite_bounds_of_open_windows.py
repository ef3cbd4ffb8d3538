"""Infinite bounds of open windows

Revision: 0003, after 0002.
"""

from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)
LOWER, UPPER = "First created_at of the window", "First created_at after the window"


def upgrade() -> None:
    # A full pass that is under way goes on from where it is.
    op.execute(
        "UPDATE sync_windows SET lower_bound = '-infinity'"
        " WHERE lower_bound = timestamptz '0001-01-01 00:00:00+00:00'"
    )
    op.execute(
        "UPDATE sync_windows SET upper_bound = 'infinity'"
        " WHERE upper_bound = timestamptz '9999-12-31 00:00:00+00:00'"
    )
    _comment("lower_bound", LOWER, f"{LOWER}; -infinity where it has none")
    _comment("upper_bound", UPPER, f"{UPPER}; infinity where there is none")


def downgrade() -> None:
    op.execute(
        "UPDATE sync_windows SET lower_bound = timestamptz '0001-01-01 00:00:00+00:00'"
        " WHERE lower_bound = '-infinity'"
    )
    op.execute(
        "UPDATE sync_windows SET upper_bound = timestamptz '9999-12-31 00:00:00+00:00'"
        " WHERE upper_bound = 'infinity'"
    )
    _comment("lower_bound", f"{LOWER}; -infinity where it has none", LOWER)
    _comment("upper_bound", f"{UPPER}; infinity where there is none", UPPER)


def _comment(column: str, before: str, after: str) -> None:
    op.alter_column(
        "sync_windows",
        column,
        existing_type=INSTANT,
        existing_comment=before,
        comment=after,
        existing_nullable=False,
    )
