-- Writes to a private copy of a table, on which `check --measure` times what the triggers cost. The source is
-- attached read-only. $-parameters are quoted names and lists of them, or the value of a pragma.

-- name: pragma
PRAGMA $name = $value;

-- name: setting
PRAGMA $name;

-- name: attach
ATTACH ? AS source;

-- name: detach
DETACH source;

-- name: rows_up_to
-- How many rows a table has, but no more than asked for: a large one is not read through to be counted.
SELECT count(*) FROM (SELECT 1 FROM $table LIMIT ?);

-- name: greatest_rowid
SELECT coalesce(max($rowid), 0) FROM $table;

-- name: copy_rows
-- OFFSET, because it needs no key. A row that moved into the next piece meanwhile is there already: OR IGNORE.
INSERT OR IGNORE INTO main.$table ($columns) SELECT $columns FROM source.$table LIMIT ? OFFSET ?;

-- name: count
SELECT count(*) FROM $table;

-- name: rows
SELECT $columns FROM $table;

-- name: used_pages
SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count;

-- name: entries
SELECT count(*) FROM _cdcsync_log;

-- name: entry_columns
SELECT name FROM pragma_table_info('_cdcsync_log') WHERE pk = 0;

-- name: entries_again
INSERT INTO _cdcsync_log ($columns) SELECT $columns FROM _cdcsync_log LIMIT ?;

-- name: checkpoint
PRAGMA wal_checkpoint(PASSIVE);

-- name: insert
INSERT INTO $table ($columns) VALUES ($marks);

-- name: update
UPDATE $table SET $column = ? WHERE $same;

-- name: delete
DELETE FROM $table WHERE $same;
