-- For a table without a key: something changed here. The table is copied whole.
CREATE TRIGGER $trigger $when $event ON $table BEGIN
  INSERT INTO _cdcsync_log (tbl, at) VALUES ($number, julianday('now'));
END
