"""intercom-warehouse: keeps a Postgres warehouse in step with Intercom."""
