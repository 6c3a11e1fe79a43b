-- Logs the key of the new row. AFTER, because an automatic rowid is still -1 before the insert.
CREATE TRIGGER $trigger AFTER INSERT ON $table BEGIN
  INSERT INTO _cdcsync_log (tbl, at, $log_keys) $arrived;
END
