-- Everything the daemon asks of the source. $-parameters are quoted names and lists of them.
-- Rows are found by joining the changelog inside SQLite: a key that was read and bound again can lose its class.

-- name: head
-- The last entry of the changelog.
SELECT coalesce(max(seq), 0) FROM _cdcsync_log;

-- name: anchor
-- When and for which key an entry was written; hex, because a key may be any bytes.
SELECT at, tbl || ':' || typeof(k1) || ':' || substr(hex(k1), 1, 200) FROM _cdcsync_log WHERE seq = ?;

-- name: oldest_pending
-- When the oldest entry above a position was written, as seconds since 1970.
SELECT (at - 2440587.5) * 86400.0 FROM _cdcsync_log WHERE seq > ? ORDER BY seq LIMIT 1;

-- name: tables_changed
-- The numbers of the tables with entries in a range of the changelog, and the last entry of each.
SELECT tbl, max(seq) FROM _cdcsync_log WHERE seq > ? AND seq <= ? GROUP BY tbl;

-- name: present
-- The current rows of the keys logged in a range. CROSS JOIN keeps the changelog in the outer loop.
SELECT $columns FROM ($logged) AS log CROSS JOIN $rows ON $same_key;

-- name: gone
-- The keys logged in a range that have no row any more.
SELECT $columns FROM ($logged) AS log WHERE NOT EXISTS (SELECT 1 FROM $rows WHERE $same_key);

-- name: logged
-- The distinct keys of one table in a range, by value and by storage class: DISTINCT alone merges 1 and 1.0.
SELECT $keys FROM _cdcsync_log WHERE tbl = ? AND seq > ? AND seq <= ? GROUP BY $keys_and_classes;

-- name: page
-- The next rows in key order.
SELECT $columns FROM $rows WHERE $after ORDER BY $order LIMIT $limit;

-- name: whole
-- All rows of a table that has no key.
SELECT $columns FROM $rows;

-- name: null_keys
-- The keys that hold a NULL, with how many rows have each: SQLite admits that, PostgreSQL does not.
SELECT $columns, count(*) FROM $rows WHERE $any_null GROUP BY $keys_and_classes;

-- name: row
SELECT $columns FROM $rows WHERE $condition LIMIT 1;

-- name: count_where
SELECT count(*) FROM $rows WHERE $condition;

-- name: selected
-- The rows of a table that meet a condition of the user's, which may end in a comment.
(SELECT * FROM $table WHERE (
$condition
))

-- name: referring
-- The rows that refer to selected rows of other tables.
(SELECT * FROM $table AS c WHERE $references)

-- name: refers
-- Whether row `c` refers to one of these rows. IN, not a join: it can use an index of the child's.
($columns) IN (SELECT $parent_columns FROM $parents AS p)

-- name: explain_rows
-- Fails where a condition is none.
EXPLAIN SELECT 1 FROM $rows AS t;

-- name: count
SELECT count(*) FROM $table;

-- name: rows_at_most
-- About how many rows a table has, without reading them: an error where there is no rowid.
SELECT max(rowid) FROM $table;

-- name: storage_classes
SELECT DISTINCT typeof($column) FROM $table;

-- name: highest
-- The greatest value an identity column holds.
SELECT max($column) FROM $table;

-- name: sequence
-- The greatest id an AUTOINCREMENT table ever gave out.
SELECT seq FROM sqlite_sequence WHERE name = ?;

-- name: meta
SELECT name, value FROM _cdcsync_meta;

-- name: registry
SELECT number, name, shape FROM _cdcsync_tables ORDER BY number;

-- name: is_installed
-- All three tables of ours; somebody may have dropped one.
SELECT count(*) = 3 FROM sqlite_master
WHERE type = 'table' AND name IN ('_cdcsync_meta', '_cdcsync_tables', '_cdcsync_log');

-- name: has_ours
-- Whether anything of ours is left: a trigger without its changelog makes every write fail.
SELECT count(*) FROM sqlite_master WHERE name GLOB '_cdcsync_*';

-- name: has_meta
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '_cdcsync_meta';

-- name: fence_triggers
SELECT name FROM sqlite_master WHERE type = 'trigger' AND name GLOB '_cdcsync_fence_*';

-- name: log_columns
SELECT name FROM pragma_table_info('_cdcsync_log');

-- name: entry_bytes
-- The mean size of the newest keys.
SELECT avg($lengths) FROM (SELECT * FROM _cdcsync_log ORDER BY seq DESC LIMIT 100);

-- name: log_entries
-- No entry is ever missing between the oldest and the newest.
SELECT coalesce(max(seq) - min(seq) + 1, 0) FROM _cdcsync_log;

-- name: schema_objects
-- What capture depends on. The application's own triggers and views are not part of it, but for triggers that may end
-- ours.
SELECT type, name, tbl_name, sql, rowid FROM sqlite_master
WHERE type IN ('table', 'index') OR (type IN ('trigger', 'view') AND name GLOB '_cdcsync_*')
   OR (type = 'trigger' AND sql LIKE '%RAISE%IGNORE%');

-- name: table_names
-- Names of all tables; cheap enough to be asked whenever the schema moved.
SELECT name FROM sqlite_master
WHERE type = 'table' AND name NOT GLOB '_cdcsync_*' AND name NOT LIKE 'sqlite\_%' ESCAPE '\';

-- name: logged_keys
-- The keys logged in a range, with their storage classes.
SELECT $columns FROM ($logged) AS log;

-- name: page_plan
-- Whether key order needs sorting.
EXPLAIN QUERY PLAN SELECT 1 FROM $rows ORDER BY $order;

-- name: bound_key
-- One key that is known by its values, in the changelog's place.
SELECT $marks;

-- name: has_sequences
-- SQLite makes sqlite_sequence with the first AUTOINCREMENT table.
SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence';

-- name: rows_with_null_key
-- The first rows with a NULL in their key.
SELECT $found FROM $rows WHERE $any_null LIMIT ?;

-- name: missing_parents
-- Which of some foreign keys refer to nothing. Bound values take the parent's affinity, as SQLite's own check has it.
WITH wanted ($names) AS (VALUES $marks)
SELECT w.number FROM wanted AS w WHERE NOT EXISTS (SELECT 1 FROM $parents WHERE $same);
