-- The few writes cdcsync makes to the source: installing and uninstalling.

-- name: genesis
-- The first entry, with a random nonce as its key: position 1 has an anchor and the log is never empty.
INSERT INTO _cdcsync_log (seq, tbl, at, k1) VALUES (1, 0, julianday('now'), ?);

-- name: add_meta
INSERT OR REPLACE INTO _cdcsync_meta (name, value) VALUES (?, ?);

-- name: add_table
INSERT INTO _cdcsync_tables (number, name, shape) VALUES (?, ?, ?);

-- name: has_registry
SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '_cdcsync_tables';

-- name: drop_registry
DROP TABLE IF EXISTS _cdcsync_tables;

-- name: set_epoch
UPDATE _cdcsync_meta SET value = ? WHERE name = 'epoch';

-- name: begin_history
-- An entry with a random nonce as its key: no position of another history has this anchor.
INSERT INTO _cdcsync_log (tbl, at, k1) VALUES (0, julianday('now'), ?);

-- name: log_columns
SELECT name FROM pragma_table_info('_cdcsync_log');

-- name: widen_log
-- For a key of more columns than any table had before.
ALTER TABLE _cdcsync_log ADD COLUMN $column;

-- name: triggers_of
-- Our triggers for one table number, whatever table they are on by now.
SELECT name FROM sqlite_master WHERE type = 'trigger' AND name GLOB '_cdcsync_' || ? || '_*';

-- name: prune
-- The oldest entries below a position and older than an age in days. Neither the newest entry nor the one at the
-- position goes: the first keeps numbers from being used again, the second is the position's anchor.
DELETE FROM _cdcsync_log WHERE seq IN (
    SELECT seq FROM (SELECT seq, at FROM _cdcsync_log
                     WHERE seq < ?1 AND seq < (SELECT max(seq) FROM _cdcsync_log) ORDER BY seq LIMIT ?3)
    WHERE at < julianday('now') - ?2);

-- name: our_triggers
SELECT name FROM sqlite_master WHERE type = 'trigger' AND name GLOB '_cdcsync_*';

-- name: remove_meta
DELETE FROM _cdcsync_meta WHERE name = ?;

-- name: our_tables
SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB '_cdcsync_*';

-- name: our_views
SELECT name FROM sqlite_master WHERE type = 'view' AND name GLOB '_cdcsync_*';

-- name: drop_view
DROP VIEW $name;

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
