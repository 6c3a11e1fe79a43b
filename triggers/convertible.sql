-- The same for such a key in a table without rowid: a statement of the BEFORE triggers, where NEW is as it was written.
INSERT INTO _cdcsync_log (tbl, at, $log_keys) SELECT $number, julianday('now'), $arriving_keys
    WHERE $looks_numeric
