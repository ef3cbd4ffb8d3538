"""What is to be written

Revision: 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column(
            "id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="Its number"
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="contacts, companies, events or tags"),
        sa.Column(
            "op",
            sa.Text(),
            nullable=False,
            comment="upsert, update, create, archive or delete; events are created",
        ),
        sa.Column(
            "role",
            sa.Text(),
            nullable=True,
            comment="Of a contact: user or lead; body may name it as well",
        ),
        sa.Column(
            "object_id",
            sa.Text(),
            nullable=True,
            comment="Intercom's id of the object, once it is known",
        ),
        sa.Column(
            "external_id",
            sa.Text(),
            nullable=True,
            comment="The customer's own id of the contact or company",
        ),
        sa.Column(
            "email",
            sa.Text(),
            nullable=True,
            comment="Email of the contact, where external_id names nobody",
        ),
        sa.Column(
            "body",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="The fields to write, by the API's own names",
        ),
        sa.Column(
            "before",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="What the mirror held in those fields when it was planned",
        ),
        sa.Column(
            "model",
            sa.Text(),
            nullable=True,
            comment="The model it came from; null where it was inserted",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default=sa.text("'waiting'"),
            nullable=False,
            comment="waiting, sending, sent, done, failed or unknown",
        ),
        sa.Column("job_id", sa.Text(), nullable=True, comment="The bulk job that carries it"),
        sa.Column("task_id", sa.Text(), nullable=True, comment="The task of that job"),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="How often it was sent",
        ),
        sa.Column(
            "not_before",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Not sent or looked up before",
        ),
        sa.Column(
            "error_code",
            sa.Text(),
            nullable=True,
            comment="Why it failed or is tried again, as one word",
        ),
        sa.Column(
            "error",
            sa.Text(),
            nullable=True,
            comment="Why, in Intercom's own words where it gave any",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was wished",
        ),
        sa.Column(
            "sent_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was last sent",
        ),
        sa.Column(
            "done_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it ended, well or not",
        ),
        sa.Column(
            "confirmed_as_of",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Intercom's updated_at of the object as it was read back",
        ),
        sa.CheckConstraint(
            "kind IN ('contacts', 'companies', 'events', 'tags')", name="outbox_kind"
        ),
        sa.CheckConstraint(
            "op IN ('upsert', 'update', 'create', 'archive', 'delete')", name="outbox_op"
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'sending', 'sent', 'done', 'failed', 'unknown')",
            name="outbox_state",
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="Wishes: what is to be written to Intercom, and what became of it. Companies insert kind, op, the object and body, push does the rest. All instants are by the database's clock.",
    )
    op.create_index(
        "ix_outbox_email",
        "outbox",
        ["kind", sa.literal_column("lower(email)")],
        unique=False,
        postgresql_where=sa.text("email IS NOT NULL"),
    )
    op.create_index(
        "ix_outbox_external_id",
        "outbox",
        ["kind", "external_id"],
        unique=False,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_index("ix_outbox_object", "outbox", ["kind", "object_id"], unique=False)
    op.create_index(
        "ix_outbox_unfinished",
        "outbox",
        ["kind", "state", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('waiting', 'sending', 'sent', 'unknown')"),
    )
    op.create_table(
        "push_digests",
        sa.Column("kind", sa.Text(), nullable=False, comment="contacts or companies"),
        sa.Column("object_id", sa.Text(), nullable=False, comment="Intercom's id of the object"),
        sa.Column(
            "digests",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Digest of the value, by field",
        ),
        sa.PrimaryKeyConstraint("kind", "object_id"),
        comment="What was last pushed of each field of an object, as digests: so that a change made at Intercom since is known.",
    )
    op.create_table(
        "push_jobs",
        sa.Column("job_id", sa.Text(), nullable=False, comment="Intercom's id of the job"),
        sa.Column("kind", sa.Text(), nullable=False, comment="contacts or companies"),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="pending, running, completed, completed_with_errors, or vanished",
        ),
        sa.Column("tasks", sa.Integer(), nullable=False, comment="How many tasks it has"),
        sa.Column("items", sa.BigInteger(), nullable=False, comment="How many items they have"),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When it was begun",
        ),
        sa.Column(
            "asked_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was last asked for",
        ),
        sa.Column(
            "ended_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was seen to have ended",
        ),
        sa.PrimaryKeyConstraint("job_id"),
        comment="Bulk jobs that push began. All instants are by the database's clock.",
    )


def downgrade() -> None:
    op.drop_table("push_jobs")
    op.drop_table("push_digests")
    op.drop_index(
        "ix_outbox_unfinished",
        table_name="outbox",
        postgresql_where=sa.text("state IN ('waiting', 'sending', 'sent', 'unknown')"),
    )
    op.drop_index("ix_outbox_object", table_name="outbox")
    op.drop_index("ix_outbox_external_id", table_name="outbox")
    op.drop_index("ix_outbox_email", table_name="outbox")
    op.drop_table("outbox")
