-- Reading, taking and moving the checkpoint of one source.

-- name: read
SELECT epoch, seq, anchor_at, anchor_key, state, owner::text, role, consistent_seq, entries_per_second, cut_over_at
FROM cdcsync.checkpoint WHERE source_id = %(source_id)s;

-- name: read_tables
SELECT number, name, state, start_seq, cursor, rows_copied, rows_total
FROM cdcsync.tables WHERE source_id = %(source_id)s ORDER BY number;

-- name: take
-- Become the owner, whoever it was: the old one sees its next compare-and-set fail.
UPDATE cdcsync.checkpoint SET owner = %(owner)s, role = %(role)s
WHERE source_id = %(source_id)s AND state <> 'cut_over';

-- name: release
UPDATE cdcsync.checkpoint SET owner = NULL, role = NULL
WHERE source_id = %(source_id)s AND owner = %(owner)s;

-- name: advance
SELECT cdcsync.advance(%(source_id)s, %(epoch)s, %(from_seq)s, %(owner)s, %(seq)s, %(anchor_at)s, %(anchor_key)s,
                       %(state)s, %(consistent)s, %(rate)s);

-- name: hold
-- Lock the checkpoint for a transaction that moves rows but not the position; no row: somebody else has it.
SELECT 1 FROM cdcsync.checkpoint
WHERE source_id = %(source_id)s AND epoch = %(epoch)s AND seq = %(from_seq)s AND owner = %(owner)s
  AND state <> 'cut_over' FOR UPDATE;

-- name: set_state
UPDATE cdcsync.checkpoint SET state = %(state)s
WHERE source_id = %(source_id)s AND owner = %(owner)s AND state <> 'cut_over';

-- name: progress
UPDATE cdcsync.tables
SET state = %(state)s, start_seq = %(start_seq)s, cursor = %(cursor)s, rows_copied = %(rows_copied)s,
    rows_total = coalesce(%(rows_total)s, rows_total)
WHERE source_id = %(source_id)s AND number = %(number)s;

-- name: try_lock
-- A session's lock dies with its process, however it ends.
SELECT pg_try_advisory_lock(hashtextextended(%(name)s, 0));

-- name: unlock
SELECT pg_advisory_unlock(hashtextextended(%(name)s, 0));

-- name: is_locked
-- Whether any session holds a lock of try_lock. pg_locks shows a bigint key as two halves.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (classid::bigint << 32 | objid::bigint) = hashtextextended(%(name)s, 0)
);

-- name: heartbeat
INSERT INTO cdcsync.daemon (source_id, pid, host) VALUES (%(source_id)s, %(pid)s, %(host)s)
ON CONFLICT (source_id) DO UPDATE SET pid = excluded.pid, host = excluded.host, heartbeat_at = now();

-- name: owner
SELECT owner::text FROM cdcsync.checkpoint WHERE source_id = %(source_id)s;

-- name: read_daemon
SELECT pid, host, extract(epoch FROM clock_timestamp() - heartbeat_at)::double precision
FROM cdcsync.daemon WHERE source_id = %(source_id)s;

-- name: note
INSERT INTO cdcsync.history (source_id, kind, message) VALUES (%(source_id)s, %(kind)s, %(message)s);

-- name: last_errors
SELECT at, message FROM cdcsync.history
WHERE source_id = %(source_id)s AND kind = 'error' ORDER BY id DESC LIMIT 5;

-- name: pending_ddl
SELECT place, phase, table_name, name, statement, detached FROM cdcsync.pending_ddl
WHERE source_id = %(source_id)s AND done_at IS NULL AND phase = ANY (%(phases)s) ORDER BY place;

-- name: ddl_done
UPDATE cdcsync.pending_ddl SET done_at = now(), error = %(error)s
WHERE source_id = %(source_id)s AND place = %(place)s;

-- name: cut_over
-- The guard goes off and the state changes in one statement.
UPDATE cdcsync.checkpoint SET guarded = false, state = 'cut_over', cut_over_at = now(), owner = NULL, role = NULL
WHERE source_id = %(source_id)s AND owner = %(owner)s;

-- name: target_tables
SELECT number, target FROM cdcsync.tables WHERE source_id = %(source_id)s ORDER BY number;

-- name: is_working
SELECT state = 'active' FROM pg_stat_activity WHERE pid = %(pid)s;
