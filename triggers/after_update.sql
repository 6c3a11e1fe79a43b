-- Logs the key the row has now and, where it moved, the key it had. No OF list: SET rowid = .. would not fire it.
-- $moved compares bytes and storage class: the column's own collation would call 'Ab' and 'AB' the same key.
CREATE TRIGGER $trigger AFTER UPDATE ON $table BEGIN
  INSERT INTO _cdcsync_log (tbl, at, $log_keys) VALUES ($number, julianday('now'), $new_keys);
  INSERT INTO _cdcsync_log (tbl, at, $log_keys) SELECT $number, julianday('now'), $old_keys WHERE $moved;
END
