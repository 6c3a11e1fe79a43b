-- name: begin
-- What every session of ours depends on. SET works through poolers where start-up options do not.
SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false),
       set_config('IntervalStyle', 'postgres', false), set_config('extra_float_digits', '1', false),
       set_config('quote_all_identifiers', 'off', false), set_config('row_security', 'off', false),
       set_config('client_min_messages', 'warning', false), set_config('search_path', quote_ident(%(schema)s) || ', public', false),
       set_config('lock_timeout', '30s', false), set_config('cdcsync.writer', %(writer)s, false);

-- name: loose_commits
-- Until the drain a lost commit costs nothing: position and rows are lost together and come again.
SET synchronous_commit = off;

-- name: strict_commits
SET synchronous_commit = on;

-- name: server
SELECT current_setting('server_version_num')::int, pg_encoding_to_char(encoding), pg_is_in_recovery()
FROM pg_database WHERE datname = current_database();

-- name: data_directory
-- Only a superuser or a member of pg_read_all_settings may ask.
SELECT current_setting('data_directory');

-- name: wait_briefly
-- Until the transaction ends; well below the second after which PostgreSQL looks for deadlocks.
SELECT set_config('lock_timeout', '200ms', true);

-- name: wait_long
SELECT set_config('lock_timeout', '30s', true);
