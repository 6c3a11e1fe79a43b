-- One statement of before_insert.sql and before_update.sql: the rows that one unique index makes collide.
INSERT INTO _cdcsync_log (tbl, at, $log_keys) SELECT $number, julianday('now'), $victim_keys
    FROM $table AS victim WHERE $collides
