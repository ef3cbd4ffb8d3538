"""intercom-warehouse: keeps a Postgres warehouse in step with Intercom."""

__version__ = "0.1.1"
