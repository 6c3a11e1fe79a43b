-- What the target already holds.

-- name: table
-- The oid, kind and owner of a table; rights of ours on it; what makes rows go round the guard or round an upsert;
-- whether the guard is on it, by which a copy of ours is known.
SELECT c.oid::bigint, c.relkind::text, pg_has_role(c.relowner, 'USAGE'), c.relowner::regrole::text,
       array_remove(ARRAY[
           CASE WHEN c.relispartition THEN 'is a partition' END,
           CASE WHEN EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent)) THEN 'inherits' END,
           CASE WHEN c.relhasrules THEN 'has rules' END,
           CASE WHEN c.relforcerowsecurity THEN 'forces row level security' END], NULL),
       EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND g.tgname = '_cdcsync_guard' AND g.tgenabled <> 'D')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s;

-- name: columns
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
       a.attgenerated::text, a.atthasdef, t.typtype = 'd'
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: has_rows
SELECT EXISTS (SELECT FROM {table});

-- name: unique_keys
-- The column sets that could be the arbiter of an upsert.
SELECT array_agg(a.attname::text ORDER BY a.attname)
FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = %(oid)s::oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
  AND i.indimmediate AND i.indisvalid
GROUP BY i.indexrelid;

-- name: other_constraints
-- Foreign keys of the table and of others to it, and unique constraints that are not its primary key.
SELECT con.conname::text, rel.relname::text, ns.nspname::text, con.contype::text, pg_get_constraintdef(con.oid),
       array(SELECT a.attname::text FROM pg_attribute AS a
             WHERE a.attrelid = con.conrelid AND a.attnum = ANY (con.conkey) ORDER BY a.attname)
FROM pg_constraint AS con
JOIN pg_class AS rel ON rel.oid = con.conrelid JOIN pg_namespace AS ns ON ns.oid = rel.relnamespace
WHERE (con.conrelid = %(oid)s::oid AND con.contype IN ('f', 'u', 'x')) OR (con.confrelid = %(oid)s::oid AND con.contype = 'f')
ORDER BY con.contype, con.conname;

-- name: unique_indexes
-- Unique indexes that belong to no constraint, such as an ORM makes, with the statement that brings each back.
SELECT c.relname::text, n.nspname::text, pg_get_indexdef(i.indexrelid),
       array(SELECT a.attname::text FROM pg_attribute AS a
             WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) ORDER BY a.attname),
       i.indpred IS NULL AND i.indexprs IS NULL
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = %(oid)s::oid AND i.indisunique
  AND NOT EXISTS (SELECT FROM pg_constraint AS con WHERE con.conindid = i.indexrelid)
ORDER BY c.relname;

-- name: drop_index
DROP INDEX {name};

-- name: user_triggers
SELECT tgname::text FROM pg_trigger
WHERE tgrelid = %(oid)s::oid AND NOT tgisinternal AND tgname <> '_cdcsync_guard';

-- name: detach
ALTER TABLE {table} DROP CONSTRAINT {name};

-- name: orphans
-- Children of one foreign key that have no parent: VALIDATE would fail on them.
SELECT count(*) FROM {child} AS c
WHERE {no_null} AND NOT EXISTS (SELECT FROM {parent} AS p WHERE {same});

-- name: foreign_keys
-- The foreign keys of a table that nobody has checked yet.
SELECT con.conname::text, p.relname::text, pn.nspname::text,
       array(SELECT a.attname::text FROM unnest(con.conkey) WITH ORDINALITY AS k (num, place)
             JOIN pg_attribute AS a ON a.attrelid = con.conrelid AND a.attnum = k.num ORDER BY k.place),
       array(SELECT a.attname::text FROM unnest(con.confkey) WITH ORDINALITY AS k (num, place)
             JOIN pg_attribute AS a ON a.attrelid = con.confrelid AND a.attnum = k.num ORDER BY k.place)
FROM pg_constraint AS con
JOIN pg_class AS p ON p.oid = con.confrelid JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE con.conrelid = %(oid)s::oid AND con.contype = 'f' AND NOT con.convalidated;

-- name: identity_sequences
-- The sequences behind a table's columns, identity and serial alike.
SELECT a.attname::text, pg_get_serial_sequence(%(qualified)s, a.attname::text)
FROM pg_attribute AS a
WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
  AND pg_get_serial_sequence(%(qualified)s, a.attname::text) IS NOT NULL;

-- name: set_sequence
-- With is_called false the next value is the given one: the only way to say "begin at 1".
SELECT setval(%(sequence)s::regclass, %(value)s, %(called)s);

-- name: type_named
-- A type by the name a mapping gives it, seen from the search path of the session; NULL if there is none.
SELECT to_regtype(%(name)s)::text;
