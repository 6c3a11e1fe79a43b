-- Logs the key of the row that is gone. Rows deleted by REPLACE do not come this way: see before_insert.sql.
CREATE TRIGGER $trigger AFTER DELETE ON $table BEGIN
  INSERT INTO _cdcsync_log (tbl, at, $log_keys) VALUES ($number, julianday('now'), $old_keys);
END
