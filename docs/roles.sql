-- Roles with no more rights than each needs, for one schema of the warehouse:
--
--   <schema>_owner    owns the schema and runs "intercom-warehouse migrate"
--   <schema>_sync     runs the nightly sync with CONNECTOR_AUTO_MIGRATE=0; it can neither create,
--                     alter nor drop a table. It stages each batch in temporary tables, hence
--                     TEMPORARY on the database
--   <schema>_analyst  reads tables and views, those of Fivetran's shape in <schema>_fivetran too;
--                     beyond that it may only what PUBLIC may
--   <schema>_push     runs "intercom-warehouse push": reads of the mirror what a plan is compared
--                     with, writes the outbox and what belongs to it, and changes no mirrored row.
--                     What a model names it must be allowed to read besides, such as
--                     GRANT USAGE ON SCHEMA analytics, GRANT SELECT ON analytics.intercom_users
--   <schema>_wishes   may put wishes into the outbox and see what became of them, by their numbers.
--                     It logs in nowhere: GRANT intercom_wishes TO app lets your application's own
--                     role insert in its own transactions. It sees no body and no error, which
--                     quotes values; GRANT SELECT (error) ON intercom.outbox gives that as well
--
-- Run it in the warehouse's database as a superuser, or, as on a managed Postgres, as a role with
-- CREATEROLE that owns the database; running it again changes nothing:
--
--   psql -v schema=intercom -f roles.sql "postgresql://admin@db.example.com/warehouse"
--
-- The rights of _push and _wishes are on tables by name, so run it once more after the first
-- "migrate", and after each upgrade.
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
\set push :schema '_push'
\set wishes :schema '_wishes'
\set fivetran :schema '_fivetran'

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY[:'owner', :'sync', :'analyst', :'push']) role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

SELECT format('CREATE ROLE %I', :'wishes')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'wishes') \gexec

SELECT format('GRANT %I TO CURRENT_USER', :'owner')
WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \gexec

SELECT current_database() AS base \gset

BEGIN;
GRANT CONNECT ON DATABASE :"base" TO :"owner", :"sync", :"analyst", :"push";
GRANT TEMPORARY ON DATABASE :"base" TO :"owner", :"sync", :"push";
CREATE SCHEMA IF NOT EXISTS :"schema" AUTHORIZATION :"owner";
GRANT USAGE ON SCHEMA :"schema" TO :"sync", :"analyst", :"push", :"wishes";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO :"sync";
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO :"analyst";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA :"schema"
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"sync";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA :"schema"
    GRANT SELECT ON TABLES TO :"analyst";

-- For "views --fivetran": the owner may make no schema. One that somebody else has stays his.
CREATE SCHEMA IF NOT EXISTS :"fivetran" AUTHORIZATION :"owner";
SELECT format(statement, :'fivetran', :'analyst', :'owner')
FROM unnest(ARRAY[
    'GRANT USAGE ON SCHEMA %1$I TO %2$I',
    'GRANT SELECT ON ALL TABLES IN SCHEMA %1$I TO %2$I',
    'ALTER DEFAULT PRIVILEGES FOR ROLE %3$I IN SCHEMA %1$I GRANT SELECT ON TABLES TO %2$I'
]) statement
WHERE EXISTS (SELECT FROM pg_namespace
              WHERE nspname = :'fivetran' AND pg_get_userbyid(nspowner) = :'owner') \gexec

SELECT format('GRANT %s ON %I.%I TO %I', rights, :'schema', name, :'push')
FROM (
    SELECT unnest(ARRAY['companies', 'company_tags', 'contact_companies', 'contact_merges',
                        'contact_tags', 'contacts', 'custom_columns', 'data_attributes',
                        'sync_exclusions', 'sync_forgotten', 'sync_state', 'sync_version',
                        'sync_workspace', 'tags']), 'SELECT'
    UNION ALL
    SELECT unnest(ARRAY['outbox', 'push_digests', 'push_jobs', 'sync_inbox']),
           'SELECT, INSERT, UPDATE'
) needed (name, rights)
WHERE to_regclass(format('%I.%I', :'schema', name)) IS NOT NULL \gexec

SELECT format('GRANT %s ON %I.outbox TO %I', rights, :'schema', :'wishes')
FROM unnest(ARRAY[
    'INSERT (kind, op, role, object_id, external_id, email, body)',
    'SELECT (id, kind, op, state, error_code, created_at, sent_at, done_at)'
]) rights
WHERE to_regclass(format('%I.outbox', :'schema')) IS NOT NULL \gexec
COMMIT;
