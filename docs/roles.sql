-- Three roles with no more rights than each needs, for one schema of the warehouse:
--
--   <schema>_owner    owns the schema and runs "intercom-warehouse migrate"
--   <schema>_sync     runs the nightly sync with CONNECTOR_AUTO_MIGRATE=0; it can neither create,
--                     alter nor drop a table. It stages each batch in temporary tables, hence
--                     TEMPORARY on the database
--   <schema>_analyst  reads tables and views, and nothing else
--
-- Run it as a superuser in the warehouse's database; running it again changes nothing:
--
--   psql -v schema=intercom -f docs/roles.sql "postgresql://admin@db.example.com/warehouse"
--
-- Then give each role a password with \password in psql. Tables and views that later versions add
-- are covered by the default privileges of the owner.

\set ON_ERROR_STOP on
\if :{?schema}
\else
\set schema intercom
\endif
\set owner :schema '_owner'
\set sync :schema '_sync'
\set analyst :schema '_analyst'

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY[:'owner', :'sync', :'analyst']) role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

SELECT current_database() AS base \gset

BEGIN;
GRANT CONNECT ON DATABASE :"base" TO :"owner", :"sync", :"analyst";
GRANT TEMPORARY ON DATABASE :"base" TO :"owner", :"sync";
CREATE SCHEMA IF NOT EXISTS :"schema" AUTHORIZATION :"owner";
GRANT USAGE ON SCHEMA :"schema" TO :"sync", :"analyst";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO :"sync";
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO :"analyst";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA :"schema"
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"sync";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA :"schema"
    GRANT SELECT ON TABLES TO :"analyst";
COMMIT;
