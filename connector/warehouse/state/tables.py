"""The tables of the sync's own memory, in the schema of the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from connector.warehouse.sql.types import INSTANT, plain

_meta = sa.MetaData()


def helper_table(name: str, sentence: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    """A table of the sync's own, in the schema of the workspace."""
    return sa.Table(name, _meta, *columns, comment=sentence)


def key_column(name: str, sentence: str) -> sa.Column[Any]:
    """A text column of the primary key."""
    return sa.Column(name, sa.Text(), primary_key=True, comment=sentence)


WORKSPACE = helper_table(
    "sync_workspace",
    "The Intercom workspace that this schema mirrors: one row, written by the first sync.",
    key_column("id_code", "Intercom's code of the workspace"),
    plain("name", sa.Text(), "Name of the workspace"),
    plain("region", sa.Text(), "Region in which Intercom hosts it"),
    plain("timezone", sa.Text(), "Timezone of the workspace, which bounds the days of its search"),
    plain("api_version", sa.Text(), "API version of the last sync; a change makes the next full"),
    plain("pinned_at", INSTANT, "When the first sync pinned the workspace"),
    plain(
        "exclusions_pinned_at",
        INSTANT,
        "When a whole run last pinned what CONNECTOR_EXCLUDE keeps out; null before the first",
    ),
)

STATE = helper_table(
    "sync_state",
    "How far each resource has been read. All instants are by Intercom's clock.",
    key_column("resource", "Name of the resource"),
    plain("cursor", INSTANT, "Changes up to here have been read; null before the first full pass"),
    plain("fresh_as_of", INSTANT, "When the last pass that succeeded began"),
    plain("last_full_pass_at", INSTANT, "When the last full pass that succeeded began"),
    plain("last_success_at", INSTANT, "When the last pass that succeeded ended"),
    plain("loaded_at", INSTANT, "When its first load ended; null before"),
    plain("full_due_since", INSTANT, "Since when a full pass is due; null if none is"),
    plain(
        "full_reason",
        sa.Text(),
        "Why it is due: first, asked, mapping or, by its age, due; tried if it failed since",
    ),
    plain("plan_began_at", INSTANT, "When the full pass that is under way began; null if none is"),
    plain(
        "plan_since",
        INSTANT,
        "Limit of backfill --since: only objects updated since come in unasked; null for none",
    ),
    plain("limited_at", INSTANT, "When that limit was set, by Intercom's clock; null for none"),
    plain(
        "plan_mapping",
        sa.Text(),
        "How the full pass that is under way makes its rows, as mapping; null if none is",
    ),
    plain(
        "mapping",
        sa.Text(),
        "How the last full pass that succeeded made its rows: declarations, API version and"
        " exclusions; null if rows were written from anything else since",
    ),
    plain("position", sa.Text(), "Page token from which a feed is read on"),
    plain("control_id", sa.Text(), "Newest object of the last pass: the next search must show it"),
    plain("control_updated_at", INSTANT, "updated_at of that object, as the search showed it"),
)

PARTITIONS = helper_table(
    "sync_partitions",
    "Partitions of the full passes that are under way; they go when their pass has succeeded.",
    key_column("resource", "Name of the resource"),
    sa.Column(
        "lower_bound",
        INSTANT,
        primary_key=True,
        comment="First created_at of the partition; -infinity where it has none",
    ),
    sa.Column(
        "upper_bound",
        INSTANT,
        nullable=False,
        comment="First created_at after the partition; infinity where there is none",
    ),
    plain("finished_at", INSTANT, "When its rows were committed; null if they were not"),
)

PENDING = helper_table(
    "sync_pending",
    "What must be read again, one by one; a row goes when its object was read.",
    key_column("resource", "Name of the resource"),
    key_column("id", "Intercom's id of the object, or where in its list it stands if that is all"),
    plain("reason", sa.Text(), "Why it must be read again"),
    sa.Column(
        "attempts",
        sa.Integer(),
        nullable=False,
        server_default=sa.text("0"),
        comment="How often reading it has failed",
    ),
    plain("not_before", INSTANT, "Not tried again before, by Intercom's clock"),
    plain("first_seen_at", INSTANT, "When it became pending, by Intercom's clock"),
    plain("announced_at", INSTANT, "Which updated_at a search announced; null if none did"),
)

PLACEHOLDERS = helper_table(
    "sync_placeholders",
    "Placeholders that were asked for by id in vain.",
    key_column("table_name", "Table of the placeholder"),
    key_column("id", "Intercom's id of the object"),
    sa.Column(
        "attempts",
        sa.Integer(),
        nullable=False,
        server_default=sa.text("1"),
        comment="How often it was asked for",
    ),
    sa.Column(
        "last_tried_at",
        INSTANT,
        nullable=False,
        server_default=sa.func.now(),
        comment="When it was last asked for, by the database's clock",
    ),
)

READS = helper_table(
    "sync_reads",
    "When contacts and groups were last read one by one, for what Intercom has no list of.",
    key_column("resource", "Name of the resource"),
    key_column("id", "Intercom's id of the contact or group"),
    sa.Column(
        "read_at", INSTANT, nullable=False, comment="When it was last read, by Intercom's clock"
    ),
    plain("elements", sa.BigInteger(), "How many elements its list had"),
    plain(
        "short_reads",
        sa.Integer(),
        "How often in a row its list was shorter than Intercom counts; null if it was not",
    ),
    plain(
        "again_at",
        INSTANT,
        "When a list that was too short is asked for again, by Intercom's clock",
    ),
    plain(
        "whole_read_at",
        INSTANT,
        "When it was last read to its end, where lists go back in time: of events",
    ),
    plain(
        "complete_since",
        INSTANT,
        "Since when everything that its list ever showed is here, where lists show only the last"
        " weeks: of events; of a contact that was created later that is everything",
    ),
)

EXCLUSIONS = helper_table(
    "sync_exclusions",
    "What CONNECTOR_EXCLUDE keeps out, and whether what was stored before has been cleaned.",
    key_column("name", "The excluded field: table.column, or table.column.key"),
    sa.Column(
        "manner",
        sa.Text(),
        nullable=False,
        comment="null; hash: and what tells one key from another; lifted where hashes may remain",
    ),
    plain("hashing", sa.Boolean(), "Whether stored values become hashes; else they are emptied"),
    plain("position", JSONB(), "The last row that was cleaned: its table and key"),
    plain("cleaned_at", INSTANT, "When all stored rows were clean; null if they are not yet"),
)

FORGOTTEN = helper_table(
    "sync_forgotten",
    "Contacts whose personal data is not stored: they are emptied at every merge.",
    key_column("contact_id", "Intercom's id of the contact"),
    sa.Column(
        "forgotten_at", INSTANT, nullable=False, comment="Since when, by Intercom's clock if known"
    ),
    sa.Column(
        "reason",
        sa.Text(),
        nullable=False,
        comment="forgotten on demand, deleted at Intercom, or merged into another contact, which"
        " empties only its own row",
    ),
    plain(
        "rows_noted_at",
        INSTANT,
        "When its rows were noted in sync_forgotten_rows; null if they were not yet",
    ),
)

FORGOTTEN_ROWS = helper_table(
    "sync_forgotten_rows",
    "What was about a forgotten contact: it stays empty, also where a merge gives it to another.",
    key_column("table_name", "Table of the row"),
    key_column("id", "Intercom's id of the object"),
    key_column("about", "Column or link table that named the contact"),
    key_column("contact_id", "The forgotten contact"),
)

RUNS = helper_table(
    "sync_runs",
    "Runs of the commands that write.",
    sa.Column(
        "id", sa.BigInteger(), sa.Identity(always=True), primary_key=True, comment="Number of run"
    ),
    plain("command", sa.Text(), "Command that ran"),
    plain("started_at", INSTANT, "When it started, by the database's clock"),
    plain("finished_at", INSTANT, "When it ended, by the database's clock; null while it runs"),
    plain("status", sa.Text(), "running, succeeded, failed or interrupted"),
    plain("error", sa.Text(), "Why it did not succeed"),
)

RUN_RESOURCES = helper_table(
    "sync_run_resources",
    "What each run did, resource by resource.",
    sa.Column(
        "run_id", sa.BigInteger(), primary_key=True, autoincrement=False, comment="sync_runs.id"
    ),
    key_column("resource", "Name of the resource"),
    plain("status", sa.Text(), "running, succeeded, failed or interrupted"),
    plain("requests", sa.BigInteger(), "Requests sent to Intercom, repeated ones included"),
    plain("fetched", sa.BigInteger(), "Records read"),
    plain("inserted", sa.BigInteger(), "Rows that are new in the resource's table"),
    plain("updated", sa.BigInteger(), "Rows of the resource's table that changed"),
    plain("unchanged", sa.BigInteger(), "Records that changed nothing"),
    plain("deleted", sa.BigInteger(), "Rows marked deleted"),
    plain("warnings", sa.BigInteger(), "Values that did not fit their column"),
    plain("seconds", sa.Numeric(), "Duration in seconds"),
    plain("error", sa.Text(), "Why it did not succeed"),
    plain("parts", sa.BigInteger(), "Parts of its living objects that are stored, after the run"),
    plain("incomplete", sa.BigInteger(), "Objects with fewer parts than Intercom counts"),
    plain("truncated", sa.BigInteger(), "Objects with more parts than Intercom shows"),
)

CUSTOM_COLUMNS = helper_table(
    "custom_columns",
    "Which custom attribute is which column of the views: names once given stay, whatever becomes"
    " of the attribute.",
    key_column("model", "What the attribute describes: contact, company, conversation or ticket"),
    key_column("full_name", "Full name of the attribute (data_attributes.full_name)"),
    key_column("data_type", "Type of its values at Intercom, as when the column was named"),
    sa.Column("name", sa.Text(), nullable=False, comment="Its key in the map of values"),
    sa.Column(
        "column_name", sa.Text(), nullable=False, comment="Column of the views that shows it"
    ),
    plain(
        "archived_at",
        INSTANT,
        "When it was found to be archived or gone, by the database's clock; null while it lives",
    ),
    sa.UniqueConstraint("model", "column_name"),
)

DIGESTS = helper_table(
    "sync_digests",
    "Digest of each record as Intercom's list showed it when its row was written.",
    key_column("table_name", "Table of the row"),
    key_column("id", "Intercom's id of the object"),
    sa.Column("digest", sa.BigInteger(), nullable=False, comment="Digest of the record's text"),
)

RELATIONS = helper_table(
    "sync_relations",
    "What this connector made in the schema; a relation of any other name is somebody else's.",
    key_column("name", "Name of the relation"),
    sa.Column("kind", sa.Text(), nullable=False, comment="r table, v view, i index or S sequence"),
    plain("definition", sa.Text(), "The query of a view, without the name of the schema"),
    plain("fingerprint", sa.Text(), "MD5 of what PostgreSQL showed as that query when it was made"),
    plain("comments", JSONB(), "Comments that were put on a view, by column; on itself under ''"),
)

DELETION_CANDIDATES = helper_table(
    "sync_deletion_candidates",
    "Deletion candidates: rows whose objects seem to be gone, and why; all that a run finds are"
    " marked deleted together at its end, or, where they are implausibly many, none.",
    key_column("resource", "Name of the resource that found it, or of its table"),
    key_column("id", "Intercom's id of the object"),
    plain(
        "answer",
        sa.Text(),
        "What was found out: gone, archived or merged (asked by id), told (by a feed or a record);"
        " null while nobody has asked",
    ),
    plain("answered_at", INSTANT, "When that was found out, by Intercom's clock"),
    plain("deleted_at", INSTANT, "When it was deleted or merged, where Intercom told the time"),
)

UNLISTED = helper_table(
    "sync_unlisted",
    "Objects that lists omit and reads by id show, as companies without users; asked for rarely.",
    key_column("table_name", "Table of the row"),
    key_column("id", "Intercom's id of the object"),
    sa.Column("read_at", INSTANT, nullable=False, comment="When it was last read by id"),
    sa.Column("reads", sa.Integer(), nullable=False, comment="How often, since it is unlisted"),
)

HISTORY = helper_table(
    "sync_history",
    "Of which tables history is kept, and since when. All instants are by Intercom's clock.",
    key_column(
        "table_name", "The table; its versions stand in the one that bears _history behind its name"
    ),
    sa.Column(
        "began_at", INSTANT, nullable=False, comment="When it was turned on for the last time"
    ),
    sa.Column(
        "since_load",
        sa.Boolean(),
        nullable=False,
        comment="Whether no row was here then: the first versions begin when Intercom says that the"
        " objects were last updated, else when it was turned on",
    ),
    plain("position", sa.Text(), "Last row that was given its first version when it was turned on"),
    plain("filled_at", INSTANT, "When all rows that were here had one; null before"),
    plain(
        "linked_at",
        INSTANT,
        "When the first load had read the members of groups, and the versions held them",
    ),
    plain("ended_at", INSTANT, "When it was turned off, and all versions end; null while it is on"),
    plain("closed_at", INSTANT, "When they were all ended; null before"),
    plain("pruned_at", INSTANT, "When versions past CONNECTOR_HISTORY_DAYS were last removed"),
)

FACTS = helper_table(
    "sync_refuted_facts",
    "What is taken to be true of Intercom and was seen to be false in this workspace.",
    key_column("fact", "Its name in docs/facts.md"),
    sa.Column("detail", sa.Text(), nullable=False, comment="What was seen last, without values"),
    sa.Column(
        "resources",
        ARRAY(sa.Text()),
        nullable=False,
        comment="Resources of which it was seen and not confirmed since",
    ),
    sa.Column("times", sa.BigInteger(), nullable=False, comment="How often it was seen"),
    sa.Column("first_seen_at", INSTANT, nullable=False, comment="When a run first saw it"),
    sa.Column("last_seen_at", INSTANT, nullable=False, comment="When a run last saw it"),
)

INBOX = helper_table(
    "sync_inbox",
    "Objects that a notification told of and that were not read since. All instants but announced"
    " are by the database's clock.",
    key_column("resource", "Name of the table"),
    key_column("id", "Intercom's id of the object; * means the whole list"),
    sa.Column(
        "version",
        sa.BigInteger(),
        nullable=False,
        comment="Another one at each telling, so that only what was read since is settled",
    ),
    plain("announced", INSTANT, "Which updated_at was told, to the second; of events the newest"),
    sa.Column(
        "gone",
        sa.Boolean(),
        nullable=False,
        server_default=sa.text("false"),
        comment="Whether a notification told that it was deleted or archived",
    ),
    sa.Column(
        "attempts",
        sa.Integer(),
        nullable=False,
        server_default=sa.text("0"),
        comment="How often it was read in vain since it was last told",
    ),
    sa.Column("not_before", INSTANT, nullable=False, comment="Not read before"),
    sa.Column("first_told_at", INSTANT, nullable=False, comment="When it was first told"),
    sa.Column("told_at", INSTANT, nullable=False, comment="When it was last told"),
    sa.Index("ix_sync_inbox_not_before", "not_before"),
)

TOPICS = helper_table(
    "sync_topics",
    "Which notifications came, by topic.",
    key_column("topic", "Topic of the notification"),
    sa.Column("received", sa.BigInteger(), nullable=False, comment="How many came"),
    sa.Column(
        "ignored",
        sa.BigInteger(),
        nullable=False,
        comment="How many of them named no object that is mirrored, or another workspace",
    ),
    plain("last_received_at", INSTANT, "When the last one came, by the database's clock"),
)


OUTBOX = helper_table(
    "outbox",
    "Wishes: what is to be written to Intercom, and what became of it. Companies insert kind, op,"
    " the object and body, push does the rest. All instants are by the database's clock.",
    sa.Column(
        "id", sa.BigInteger(), sa.Identity(always=False), primary_key=True, comment="Its number"
    ),
    sa.Column("kind", sa.Text(), nullable=False, comment="contacts, companies, events or tags"),
    sa.Column(
        "op",
        sa.Text(),
        nullable=False,
        comment="upsert, update, create, archive or delete; events are created",
    ),
    plain("role", sa.Text(), "Of a contact: user or lead; body may name it as well"),
    plain("object_id", sa.Text(), "Intercom's id of the object, once it is known"),
    plain("external_id", sa.Text(), "The customer's own id of the contact or company"),
    plain("email", sa.Text(), "Email of the contact, where external_id names nobody"),
    plain("body", JSONB(), "The fields to write, by the API's own names"),
    plain("before", JSONB(), "What the mirror held in those fields when it was planned"),
    plain("model", sa.Text(), "The model it came from; null where it was inserted"),
    sa.Column(
        "state",
        sa.Text(),
        nullable=False,
        server_default=sa.text("'waiting'"),
        comment="waiting, sending, sent, done, failed or unknown",
    ),
    plain("job_id", sa.Text(), "The bulk job that carries it"),
    plain("task_id", sa.Text(), "The task of that job"),
    sa.Column(
        "attempts",
        sa.Integer(),
        nullable=False,
        server_default=sa.text("0"),
        comment="How often it was sent",
    ),
    plain("not_before", INSTANT, "Not sent or looked up before"),
    plain("error_code", sa.Text(), "Why it failed or is tried again, as one word"),
    plain("error", sa.Text(), "Why, in Intercom's own words where it gave any"),
    sa.Column(
        "created_at",
        INSTANT,
        nullable=False,
        server_default=sa.func.now(),
        comment="When it was wished",
    ),
    plain("sent_at", INSTANT, "When it was last sent"),
    plain("done_at", INSTANT, "When it ended, well or not"),
    plain("confirmed_as_of", INSTANT, "Intercom's updated_at of the object as it was read back"),
    sa.CheckConstraint("kind IN ('contacts', 'companies', 'events', 'tags')", "outbox_kind"),
    sa.CheckConstraint("op IN ('upsert', 'update', 'create', 'archive', 'delete')", "outbox_op"),
    sa.CheckConstraint(
        "state IN ('waiting', 'sending', 'sent', 'done', 'failed', 'unknown')", "outbox_state"
    ),
    sa.Index(
        "ix_outbox_unfinished",
        "kind",
        "state",
        "id",
        postgresql_where=sa.text("state IN ('waiting', 'sending', 'sent', 'unknown')"),
    ),
    sa.Index("ix_outbox_object", "kind", "object_id"),
    sa.Index(
        "ix_outbox_external_id",
        "kind",
        "external_id",
        postgresql_where=sa.text("external_id IS NOT NULL"),
    ),
    sa.Index(
        "ix_outbox_email",
        "kind",
        sa.text("lower(email)"),
        postgresql_where=sa.text("email IS NOT NULL"),
    ),
)

PUSH_JOBS = helper_table(
    "push_jobs",
    "Bulk jobs that push began. All instants are by the database's clock.",
    key_column("job_id", "Intercom's id of the job"),
    sa.Column("kind", sa.Text(), nullable=False, comment="contacts or companies"),
    sa.Column(
        "state",
        sa.Text(),
        nullable=False,
        comment="pending, running, completed, completed_with_errors, or vanished",
    ),
    sa.Column("tasks", sa.Integer(), nullable=False, comment="How many tasks it has"),
    sa.Column("items", sa.BigInteger(), nullable=False, comment="How many items they have"),
    sa.Column("created_at", INSTANT, nullable=False, comment="When it was begun"),
    plain("asked_at", INSTANT, "When it was last asked for"),
    plain("ended_at", INSTANT, "When it was seen to have ended"),
)

PUSHED = helper_table(
    "push_digests",
    "What was last pushed of each field of an object, as digests: so that a change made at"
    " Intercom since is known.",
    key_column("kind", "contacts or companies"),
    key_column("object_id", "Intercom's id of the object"),
    sa.Column("digests", JSONB(), nullable=False, comment="Digest of the value, by field"),
)

METRICS = helper_table(
    "sync_metrics",
    "How the stored figures of the metric views are made: one row, written by the migration.",
    key_column("timezone", "Timezone of their days and months, as PostgreSQL knows it"),
    plain("told", sa.Text(), "Timezone of the workspace that this was made of"),
    plain(
        "definition",
        sa.Text(),
        "What they are computed by, in short; figures made by another are computed anew",
    ),
    plain(
        "position",
        sa.Text(),
        "Last conversation that was computed anew; null if none is left to compute",
    ),
)


def state_tables() -> Sequence[sa.Table]:
    """All of them, by name."""
    return sorted(_meta.tables.values(), key=lambda table: table.name)
