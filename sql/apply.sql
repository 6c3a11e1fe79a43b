-- How rows reach a target table.

-- name: copy
COPY {table} ({columns}) FROM STDIN;

-- name: copy_binary
COPY {table} ({columns}) FROM STDIN (FORMAT binary);

-- name: upsert_one
-- Idempotent. *<> compares the stored bytes: it sees 1.10 become 1.1 and 0.0 become -0.0 where IS DISTINCT FROM
-- does not, and it works for json. A column of the key is never assigned: GENERATED ALWAYS would refuse it.
INSERT INTO {table} AS t ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values})
ON CONFLICT ({key}) {action};

-- name: upsert_staged
INSERT INTO {table} AS t ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {stage}
ON CONFLICT ({key}) {action};

-- name: update_changed
DO UPDATE SET {assignments} WHERE ROW({old})::record *<> ROW({new})::record

-- name: keep
-- Every column is in the key: a row that is there is right.
DO NOTHING

-- name: insert_staged
INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {stage};

-- name: delete_one
DELETE FROM {table} WHERE ({key}) = ({values});

-- name: delete_staged
-- Each key is looked up by itself: a join of the planner's choice may read the whole table for every batch.
DELETE FROM ONLY {table} WHERE ctid = ANY (ARRAY(
    SELECT t.ctid FROM {stage} AS s CROSS JOIN LATERAL (SELECT ctid FROM {table} AS t WHERE {same_key} LIMIT 1) AS t
));

-- name: stage
-- A staging table has the columns' types and none of their constraints; it is empty again after each commit.
CREATE TEMPORARY TABLE IF NOT EXISTS {stage} ON COMMIT DELETE ROWS
    AS SELECT {columns} FROM {table} WITH NO DATA;

-- name: dry_table
-- Stands in for a table found in the target while a dry run tries the copy: its types, NOT NULLs and checks.
CREATE TEMPORARY TABLE {table} (LIKE {target} INCLUDING CONSTRAINTS INCLUDING GENERATED) ON COMMIT DROP;

-- name: dry_key
ALTER TABLE {table} ADD UNIQUE ({key});

-- name: dry_loose
ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL;

-- name: empty
DELETE FROM {table};

-- name: count
SELECT count(*) FROM {table};

-- name: analyze
ANALYZE {table};

-- name: constraints_now
-- Deferred constraints would speak up only at COMMIT.
SET CONSTRAINTS ALL IMMEDIATE;
