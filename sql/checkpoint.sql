-- Reading, taking and moving the checkpoint of one source.

-- name: read
SELECT epoch, seq, anchor_at, anchor_key, state, owner::text, role, consistent_seq, entries_per_second,
       keys_verified_per_second, pause_seconds, cut_over_at, switched_at, switch_back
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
-- remade: whatever was compared before says nothing any more; start_seq alone would not tell in a quiet source, and a
-- time would not where the clock was set back, or somebody looked before this was committed.
UPDATE cdcsync.tables
SET remade_at = CASE WHEN %(state)s IN ('pending', 'copying', 'repairing', 'copied') THEN clock_timestamp()
                     ELSE remade_at END,
    remade = remade + (%(state)s IN ('pending', 'copying', 'repairing', 'copied'))::integer,
    copy_rate = CASE WHEN state = 'copying' AND %(rows_copied)s > rows_copied AND remade_at < clock_timestamp()
                     THEN (%(rows_copied)s - rows_copied) / extract(epoch FROM clock_timestamp() - remade_at)
                     ELSE copy_rate END,
    state = %(state)s, start_seq = %(start_seq)s, cursor = %(cursor)s, rows_copied = %(rows_copied)s,
    rows_total = coalesce(%(rows_total)s, rows_total)
WHERE source_id = %(source_id)s AND number = %(number)s;

-- name: copy_rates
-- Rows copied in a second between the last two commits of each table; the newest first.
SELECT number, copy_rate FROM cdcsync.tables
WHERE source_id = %(source_id)s AND copy_rate IS NOT NULL ORDER BY remade_at DESC;

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
INSERT INTO cdcsync.daemon (source_id, pid, host, looked_at)
VALUES (%(source_id)s, %(pid)s, %(host)s, to_timestamp(%(looked_at)s))
ON CONFLICT (source_id) DO UPDATE
SET pid = excluded.pid, host = excluded.host, looked_at = excluded.looked_at, heartbeat_at = now();

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

-- name: detached
-- What was taken off tables found in place and is not back: still to be brought back, or refused when that was tried.
SELECT place, phase, table_name, name, statement, detached, false, error FROM cdcsync.pending_ddl
WHERE source_id = %(source_id)s AND detached AND (done_at IS NULL OR error IS NOT NULL) ORDER BY place;

-- name: try_refused_again
UPDATE cdcsync.pending_ddl SET done_at = NULL, error = NULL
WHERE source_id = %(source_id)s AND phase = 'unique' AND error IS NOT NULL;

-- name: ddl_done
UPDATE cdcsync.pending_ddl SET done_at = now(), error = %(error)s
WHERE source_id = %(source_id)s AND place = %(place)s;

-- name: begin_history
-- Follow another history of the same source: the position is taken from its changelog, and nothing is consistent yet.
UPDATE cdcsync.checkpoint
SET epoch = %(epoch)s, seq = %(seq)s, anchor_at = %(anchor_at)s, anchor_key = %(anchor_key)s, consistent_seq = NULL
WHERE source_id = %(source_id)s AND owner = %(owner)s AND state <> 'cut_over';

-- name: open_drift
-- One line is open for a table at a time: what happens before it is mended makes that line's gap longer.
WITH longer AS (
    UPDATE cdcsync.drift
    SET since = coalesce(since, to_timestamp(%(since)s)),
        until = CASE WHEN %(since)s::double precision IS NULL THEN until END
    WHERE source_id = %(source_id)s AND number = %(number)s AND closed_at IS NULL
    RETURNING 1
)
INSERT INTO cdcsync.drift (source_id, number, table_name, kind, answer, since)
SELECT %(source_id)s, %(number)s, %(table)s, %(kind)s, %(answer)s, to_timestamp(%(since)s)
WHERE NOT EXISTS (SELECT FROM longer);

-- name: drift_ends
-- Capture works again from now on; what was missed before is still to be mended.
UPDATE cdcsync.drift SET until = now() WHERE source_id = %(source_id)s AND until IS NULL;

-- name: mended
UPDATE cdcsync.drift SET rows_mended = coalesce(rows_mended, 0) + %(rows)s
WHERE source_id = %(source_id)s AND number = %(number)s AND closed_at IS NULL;

-- name: close_drift
UPDATE cdcsync.drift SET closed_at = now(), until = coalesce(until, now())
WHERE source_id = %(source_id)s AND number = %(number)s AND closed_at IS NULL;

-- name: try_left_out_again
UPDATE cdcsync.drift SET closed_at = now()
WHERE source_id = %(source_id)s AND kind = 'not captured' AND closed_at IS NULL;

-- name: drifts
-- What is not mended yet, and the last that were.
SELECT number, table_name, kind, answer, since, until, rows_mended, closed_at FROM cdcsync.drift
WHERE source_id = %(source_id)s ORDER BY closed_at IS NULL DESC, id DESC LIMIT 100;

-- name: last_look
-- The last moment at which a daemon saw the schema to be what was installed, as seconds since 1970.
SELECT extract(epoch FROM coalesce(d.looked_at, c.installed_at))::double precision
FROM cdcsync.checkpoint AS c LEFT JOIN cdcsync.daemon AS d USING (source_id) WHERE c.source_id = %(source_id)s;

-- name: cut_over
-- The guard goes off and the state changes in one statement.
UPDATE cdcsync.checkpoint SET guarded = false, state = 'cut_over', cut_over_at = now(), switch_back = false,
       owner = NULL, role = NULL
WHERE source_id = %(source_id)s AND owner = %(owner)s;

-- name: fenced
-- The source is being fenced, or was; the guard stays on.
UPDATE cdcsync.checkpoint SET state = 'fenced'
WHERE source_id = %(source_id)s AND owner = %(owner)s AND state <> 'cut_over';

-- name: guard_again
-- The way back: as if the handover had not been, with the fence still up.
UPDATE cdcsync.checkpoint
SET guarded = true, state = 'fenced', cut_over_at = NULL, switched_at = NULL, switch_back = true, owner = %(owner)s,
    role = %(role)s
WHERE source_id = %(source_id)s;

-- name: switched
-- The hooks after the handover ran; nothing is left to do.
UPDATE cdcsync.checkpoint SET switched_at = now() WHERE source_id = %(source_id)s AND state = 'cut_over';

-- name: switched_back
-- The hook after the way back ran, or there is none.
UPDATE cdcsync.checkpoint SET switch_back = false WHERE source_id = %(source_id)s;

-- name: pause_took
UPDATE cdcsync.checkpoint SET pause_seconds = %(seconds)s WHERE source_id = %(source_id)s;

-- name: target_tables
SELECT number, target FROM cdcsync.tables WHERE source_id = %(source_id)s ORDER BY number;

-- name: is_working
SELECT state = 'active' FROM pg_stat_activity WHERE pid = %(pid)s;
