"""Runs the migrations inside the configured schema; called by connector.warehouse.migrate.

The connection comes with its search path set to that schema, so migrations name no schema.
"""

from alembic import context

from connector.warehouse.schema.tables import metadata

config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=metadata(),
    version_table="sync_version",
    compare_type=True,
    compare_server_default=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
