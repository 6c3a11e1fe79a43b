-- Logs the key the row has now; before_update.sql logs the one it had. No OF list: SET rowid = .. would not fire it.
CREATE TRIGGER $trigger AFTER UPDATE ON $table BEGIN
  INSERT INTO _cdcsync_log (tbl, at, $log_keys) $arrived;
END
