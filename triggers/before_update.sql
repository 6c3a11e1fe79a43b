-- Logs the key a row is about to lose and the one it is about to get, comparing bytes and storage class ($moved): the
-- column's own collation would call 'Ab' and 'AB' the same key. $cascading: where the update can have a cascade of a
-- foreign key as its consequence, a RAISE(FAIL) of one of its triggers ends the statement with the row changed, and
-- before after_update.sql. Then what before_insert.sql logs, for UPDATE OR REPLACE.
-- $concerns keeps updates that touch neither key nor unique columns at no cost.
CREATE TRIGGER $trigger BEFORE UPDATE ON $table WHEN $concerns BEGIN
  INSERT INTO _cdcsync_log (tbl, at, $log_keys) SELECT $number, julianday('now'), $old_keys WHERE $cascading;
  INSERT INTO _cdcsync_log (tbl, at, $log_keys) SELECT $number, julianday('now'), $arriving_keys WHERE $moved;
${before_update}END
