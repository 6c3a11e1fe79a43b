-- What was proven equal, and how far.

-- name: swept
-- A table was read through, and not copied or mended meanwhile.
INSERT INTO cdcsync.ledger AS l (source_id, number, epoch, seq, rows, differences, remade)
SELECT %(source_id)s, %(number)s, %(epoch)s, %(seq)s, %(rows)s, %(differences)s, %(remade)s
FROM cdcsync.tables WHERE source_id = %(source_id)s AND number = %(number)s AND state = 'joined'
  AND remade = %(remade)s
ON CONFLICT (source_id, number) DO UPDATE
SET epoch = excluded.epoch, seq = excluded.seq, rows = excluded.rows, differences = excluded.differences,
    remade = excluded.remade, swept_at = now();

-- name: remade
-- How often a table was copied or mended: to be asked before it is read through.
SELECT remade FROM cdcsync.tables WHERE source_id = %(source_id)s AND number = %(number)s;

-- name: followed
-- The keys that changed since were compared too; from a look at the ledger that nobody has changed since.
UPDATE cdcsync.ledger SET seq = %(seq)s, differences = differences + %(differences)s
WHERE source_id = %(source_id)s AND number = %(number)s AND epoch = %(epoch)s AND seq = %(from_seq)s;

-- name: read
-- Only what still holds; differences that were found hold until the table is read through again.
SELECT l.number, l.seq, l.rows, l.differences, l.swept_at
FROM cdcsync.ledger AS l JOIN cdcsync.tables AS t USING (source_id, number)
JOIN cdcsync.checkpoint AS c USING (source_id)
WHERE source_id = %(source_id)s AND l.epoch = c.epoch AND l.seq >= t.start_seq AND t.state = 'joined'
  AND t.remade = l.remade;

-- name: rate
UPDATE cdcsync.checkpoint
SET keys_verified_per_second = 0.7 * coalesce(keys_verified_per_second, %(rate)s) + 0.3 * %(rate)s
WHERE source_id = %(source_id)s;

-- name: expected
-- How many tables can be proven: those that are captured by key.
SELECT count(*) FROM cdcsync.tables
WHERE source_id = %(source_id)s AND state <> 'dropped' AND jsonb_array_length(plan::jsonb -> 'key') > 0;
