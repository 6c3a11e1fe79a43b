-- Logs the key of the row that goes. BEFORE, because a foreign key's look-up may convert OLD for what comes after: with
-- an indexed INTEGER child of a TEXT key, the key '05' is 5 in AFTER triggers.
-- Rows deleted by REPLACE do not come this way: see before_insert.sql.
CREATE TRIGGER $trigger BEFORE DELETE ON $table BEGIN
  INSERT INTO _cdcsync_log (tbl, at, $log_keys) VALUES ($number, julianday('now'), $old_keys);
END
