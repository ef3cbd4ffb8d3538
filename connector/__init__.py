"""intercom-warehouse: keeps a Postgres warehouse in step with Intercom."""

__version__ = "0.2.0"
