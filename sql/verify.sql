-- Exact comparison: rows of the source are staged with the target's own types and compared byte by byte.

-- name: position
SELECT seq FROM cdcsync.checkpoint WHERE source_id = %(source_id)s;

-- name: stage
CREATE TEMPORARY TABLE IF NOT EXISTS {stage} ON COMMIT DELETE ROWS
    AS SELECT 0::integer AS _cdcsync_place, {columns} FROM {table} WITH NO DATA;

-- name: keys
-- Keys seen in the whole pass; it lives as long as the session.
CREATE TEMPORARY TABLE IF NOT EXISTS {keys} AS SELECT {key} FROM {table} WITH NO DATA;

-- name: forget_keys
DROP TABLE IF EXISTS {keys};

-- name: see
INSERT INTO {keys} ({key}) SELECT {key} FROM {stage};

-- name: different
-- Place of each staged row that is missing in the target or differs; which columns differ; both sides as text.
-- LATERAL with LIMIT looks each key up: a join of the planner's choice may read the whole table for every page.
SELECT s._cdcsync_place, NOT t._cdcsync_there IS TRUE, ARRAY[{flags}], ARRAY[{source_texts}], ARRAY[{target_texts}]
FROM {stage} AS s
LEFT JOIN LATERAL (SELECT true AS _cdcsync_there, * FROM {table} AS t WHERE {same_key} LIMIT 1) AS t ON true
WHERE t._cdcsync_there IS NULL OR ROW({source_row})::record *<> ROW({target_row})::record
ORDER BY 1;

-- name: unwanted
-- Target rows for staged keys that have no row in the source.
SELECT s._cdcsync_place FROM {stage} AS s
CROSS JOIN LATERAL (SELECT FROM {table} AS t WHERE {same_key} AND ({only}) LIMIT 1) AS t;

-- name: extra
-- Target rows whose key was seen nowhere in the source.
SELECT ARRAY[{key_texts}] FROM {table} AS t
WHERE NOT EXISTS (SELECT FROM {keys} AS s WHERE {same_key}) AND ({only});

-- name: under
-- Whether row `t` refers to a row whose key was seen in the source.
EXISTS (SELECT FROM {keys} AS k JOIN {parent} AS p ON {same_parent} WHERE {refers})

-- name: multiset
-- A table without a key: rows as text with how often each occurs on either side, where that differs.
SELECT coalesce(s.line, t.line), coalesce(s.times, 0), coalesce(t.times, 0)
FROM (SELECT ROW({columns})::text AS line, count(*) AS times FROM {stage} GROUP BY 1) AS s
FULL JOIN (SELECT ROW({columns})::text AS line, count(*) AS times FROM {table} GROUP BY 1) AS t USING (line)
WHERE s.times IS DISTINCT FROM t.times
ORDER BY 1;

-- name: mend
-- Upsert the staged rows that the target lacks or has otherwise, and only those: ON CONFLICT DO UPDATE .. WHERE
-- locks, and so writes, every row it only looks at.
INSERT INTO {table} AS t ({columns}) OVERRIDING SYSTEM VALUE
SELECT {columns} FROM (
    SELECT {staged}, t._cdcsync_same FROM {stage} AS s
    LEFT JOIN LATERAL (
        SELECT ROW({source_row})::record *= ROW({target_row})::record AS _cdcsync_same
        FROM {table} AS t WHERE {same_key} LIMIT 1) AS t ON true) AS s
WHERE _cdcsync_same IS NOT TRUE
ON CONFLICT ({key}) {action};

-- name: analyze_keys
ANALYZE {keys};

-- name: remove_extra
DELETE FROM {table} AS t WHERE NOT EXISTS (SELECT FROM {keys} AS s WHERE {same_key});
