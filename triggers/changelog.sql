-- The changelog: one entry for each key that may have changed, written in the application's own transaction.
--
-- It has no constraint but the rowid: an outer INSERT OR IGNORE reaches into trigger bodies and would drop, without
-- an error, an entry that violates one. The key columns have no type, so a key keeps its storage class.
CREATE TABLE _cdcsync_log (seq INTEGER PRIMARY KEY, tbl, at, $log_keys)
