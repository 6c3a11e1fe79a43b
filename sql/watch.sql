-- What PostgreSQL tells of itself after the handover: what an operator watches when an application is new on it.

-- name: connections
SELECT count(*)::int, current_setting('max_connections')::int FROM pg_stat_activity WHERE backend_type = 'client backend';

-- name: database
-- Counted since stats_reset, or since the database was made.
SELECT xact_commit, xact_rollback, deadlocks, conflicts, sessions_fatal, sessions_killed, temp_bytes, stats_reset
FROM pg_stat_database WHERE datname = current_database();

-- name: statements_schema
-- Where pg_stat_statements lies, if it is there.
SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements';

-- name: slowest
SELECT left(regexp_replace(query, '\s+', ' ', 'g'), 200), calls, mean_exec_time, max_exec_time
FROM {statements}
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query NOT LIKE '%cdcsync%'
ORDER BY mean_exec_time DESC LIMIT 5;
