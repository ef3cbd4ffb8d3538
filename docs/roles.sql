-- Three roles with no more rights than each needs, for one schema of the warehouse:
--
--   <schema>_owner    owns the schema and runs "intercom-warehouse migrate"
--   <schema>_sync     runs the nightly sync with CONNECTOR_AUTO_MIGRATE=0; it can neither create,
--                     alter nor drop a table. It stages each batch in temporary tables, hence
--                     TEMPORARY on the database
--   <schema>_analyst  reads tables and views; beyond that it may only what PUBLIC may
--
-- Run it in the warehouse's database as a superuser, or, as on a managed Postgres, as a role with
-- CREATEROLE that owns the database; running it again changes nothing:
--
--   psql -v schema=intercom -f roles.sql "postgresql://admin@db.example.com/warehouse"
--
-- Then give each role a password with \password in psql. Tables and views that later versions add
-- are covered by the default privileges of the owner. Who runs it without being a superuser becomes
-- a member of <schema>_owner, without which nobody may make a schema for it.
--
-- What PUBLIC may is left as it is, for others may rely on it. Unless that was revoked, everyone who
-- may connect may make temporary tables, the analyst too; these take it away (the last one is
-- needed before PostgreSQL 15 only):
--
--   REVOKE TEMPORARY ON DATABASE warehouse FROM PUBLIC;
--   REVOKE CREATE ON SCHEMA public FROM PUBLIC;

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

SELECT format('GRANT %I TO CURRENT_USER', :'owner')
WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \gexec

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
