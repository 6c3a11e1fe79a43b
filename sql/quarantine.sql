-- Rows PostgreSQL cannot hold, set aside: in the transaction that would have written them.

-- name: put
-- A row that is refused again keeps the time it was first set aside.
INSERT INTO cdcsync.quarantine AS q (source_id, number, identity, key, shown_key, column_name, value, reason, rows, seq)
VALUES (%(source_id)s, %(number)s, %(identity)s, %(key)s, %(shown_key)s, %(column)s, %(value)s, %(reason)s, %(rows)s,
        %(seq)s)
ON CONFLICT (source_id, number, identity) DO UPDATE
SET column_name = excluded.column_name, value = excluded.value, reason = excluded.reason, rows = excluded.rows,
    seq = excluded.seq, confirmed = true;

-- name: release
DELETE FROM cdcsync.quarantine
WHERE source_id = %(source_id)s AND number = %(number)s AND identity = ANY (%(identities)s);

-- name: doubt
-- A pass over the whole table begins.
UPDATE cdcsync.quarantine SET confirmed = false WHERE source_id = %(source_id)s AND number = %(number)s;

-- name: release_doubted
-- What the pass did not find again.
DELETE FROM cdcsync.quarantine WHERE source_id = %(source_id)s AND number = %(number)s AND NOT confirmed;

-- name: counts
SELECT number, sum(rows)::bigint FROM cdcsync.quarantine WHERE source_id = %(source_id)s GROUP BY number;

-- name: count
SELECT coalesce(sum(rows), 0)::bigint FROM cdcsync.quarantine
WHERE source_id = %(source_id)s AND number = %(number)s;

-- name: among
SELECT identity FROM cdcsync.quarantine
WHERE source_id = %(source_id)s AND number = %(number)s AND identity = ANY (%(identities)s);

-- name: page
-- The next rows in the order of their tables; everything by default, one table where it is named.
SELECT t.number, t.name, q.identity, q.key, q.shown_key, q.column_name, q.value, q.reason, q.rows, q.seq, q.since
FROM cdcsync.quarantine AS q JOIN cdcsync.tables AS t USING (source_id, number)
WHERE q.source_id = %(source_id)s AND (t.number, q.identity) > (%(number)s, %(identity)s)
  AND (%(table)s::text IS NULL OR t.name = %(table)s)
ORDER BY t.number, q.identity LIMIT %(limit)s;
