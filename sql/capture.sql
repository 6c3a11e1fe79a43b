-- The few writes cdcsync makes to the source: installing and uninstalling.

-- name: genesis
-- The first entry, with a random nonce as its key: position 1 has an anchor and the log is never empty.
INSERT INTO _cdcsync_log (seq, tbl, at, k1) VALUES (1, 0, julianday('now'), ?);

-- name: add_meta
INSERT OR REPLACE INTO _cdcsync_meta (name, value) VALUES (?, ?);

-- name: add_table
INSERT INTO _cdcsync_tables (number, name) VALUES (?, ?);

-- name: our_triggers
SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '\_cdcsync\_%' ESCAPE '\';

-- name: our_tables
SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '\_cdcsync\_%' ESCAPE '\';

-- name: drop_trigger
DROP TRIGGER $name;

-- name: drop_table
DROP TABLE $name;

-- name: explain_insert
-- Compiling a statement compiles the triggers it would fire.
EXPLAIN INSERT INTO $table ($column) VALUES (NULL);

-- name: explain_update
EXPLAIN UPDATE $table SET $column = NULL;

-- name: explain_delete
EXPLAIN DELETE FROM $table;
