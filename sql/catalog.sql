-- What the target already holds.

-- name: table
-- The oid, kind and owner of a table; rights of ours on it; what makes rows go round the guard or round an upsert, or
-- is lost with an index that is taken off; whether the guard is on it, by which a copy of ours is known.
SELECT c.oid::bigint, c.relkind::text, pg_has_role(c.relowner, 'USAGE'), c.relowner::regrole::text,
       array_remove(ARRAY[
           CASE WHEN c.relispartition THEN 'partition' END,
           CASE WHEN EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent)) THEN 'inherits' END,
           CASE WHEN c.relhasrules THEN 'rules' END,
           CASE WHEN c.relforcerowsecurity THEN 'row_security' END,
           CASE WHEN c.relreplident = 'i' THEN 'replica_identity' END], NULL),
       EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND g.tgname = '_cdcsync_guard' AND g.tgenabled <> 'D')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s;

-- name: columns
-- A domain is told as the type it stands on, with its sizes; its NOT NULL and its default are the column's too.
-- Whether the type reads exactly what it is given: types of extensions may cut or resolve it, an enum cannot.
WITH RECURSIVE types AS (
    SELECT a.attnum, a.atttypid AS type, a.atttypmod AS sizes, a.attnotnull AS not_null, a.atthasdef AS has_default
    FROM pg_attribute AS a WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT d.attnum, t.typbasetype, t.typtypmod, d.not_null OR t.typnotnull, d.has_default OR t.typdefault IS NOT NULL
    FROM types AS d JOIN pg_type AS t ON t.oid = d.type WHERE t.typtype = 'd'
)
SELECT a.attname::text, format_type(d.type, d.sizes), d.not_null, a.attidentity::text, a.attgenerated::text,
       d.has_default,
       t.typtype = 'e' OR t.typname = 'citext' OR t.typnamespace = 'pg_catalog'::regnamespace,
       coalesce(NOT c.collisdeterministic, false)
FROM types AS d
JOIN pg_attribute AS a ON a.attrelid = %(oid)s::oid AND a.attnum = d.attnum
JOIN pg_type AS t ON t.oid = d.type AND t.typtype <> 'd'
LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
ORDER BY a.attnum;

-- name: same_but_for_case
-- Ordinary tables whose name is this one in another case.
SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND lower(c.relname) = lower(%(table)s) AND c.relkind = 'r' ORDER BY 1;

-- name: has_rows
SELECT EXISTS (SELECT FROM {table});

-- name: emptied_with
-- Tables that TRUNCATE has to name beside some: those that refer to them, to those that do, and so on.
WITH RECURSIVE emptied AS (
    SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s)
    UNION
    SELECT con.conrelid FROM emptied AS e JOIN pg_constraint AS con ON con.confrelid = e.oid AND con.contype = 'f'
)
SELECT n.nspname::text, c.relname::text
FROM emptied AS e JOIN pg_class AS c ON c.oid = e.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT c.relispartition ORDER BY 1, 2;

-- name: unique_keys
-- The column sets an upsert could name, and whether PostgreSQL takes each: not where the check can be deferred. What an
-- index only includes is no part of it.
SELECT array_agg(a.attname::text ORDER BY a.attname), i.indimmediate
FROM pg_index AS i
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
WHERE i.indrelid = %(oid)s::oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
  AND i.indisvalid AND NOT i.indisexclusion
GROUP BY i.indexrelid;

-- name: other_constraints
-- Foreign keys of the table and of others to it; primary key, unique and exclusion constraints. Whether we may take
-- each off and bring it back. What a partition has from the whole goes with it.
SELECT con.conname::text, rel.relname::text, ns.nspname::text, con.contype::text, pg_get_constraintdef(con.oid),
       array(SELECT a.attname::text FROM pg_attribute AS a
             WHERE a.attrelid = con.conrelid AND a.attnum = ANY (con.conkey) ORDER BY a.attname),
       pg_has_role(rel.relowner, 'USAGE')
       AND (con.confrelid = 0 OR has_table_privilege(con.confrelid, 'REFERENCES'))
FROM pg_constraint AS con
JOIN pg_class AS rel ON rel.oid = con.conrelid JOIN pg_namespace AS ns ON ns.oid = rel.relnamespace
WHERE con.conparentid = 0 AND ((con.conrelid = %(oid)s::oid AND con.contype IN ('f', 'p', 'u', 'x'))
                               OR (con.confrelid = %(oid)s::oid AND con.contype = 'f'))
ORDER BY con.contype, con.conname;

-- name: unique_indexes
-- Unique indexes that belong to no constraint, such as an ORM makes, with the statement that brings each back.
SELECT c.relname::text, n.nspname::text, pg_get_indexdef(i.indexrelid),
       array(SELECT a.attname::text FROM pg_attribute AS a
             WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
             ORDER BY a.attname),
       i.indpred IS NULL AND i.indexprs IS NULL
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = %(oid)s::oid AND i.indisunique
  AND NOT EXISTS (SELECT FROM pg_constraint AS con WHERE con.conindid = i.indexrelid AND con.contype IN ('p', 'u', 'x'))
ORDER BY c.relname;

-- name: drop_index
DROP INDEX {name};

-- name: firing_triggers
-- Triggers of the table's own that would fire in our session, and whether they do so in every session. Disabled ones,
-- and those of replicas alone, stay as they are.
SELECT g.tgname::text, n.nspname::text, c.relname::text, g.tgenabled = 'A'
FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE g.tgrelid = %(oid)s::oid AND NOT g.tgisinternal AND g.tgname <> '_cdcsync_guard' AND g.tgenabled IN ('O', 'A')
ORDER BY g.tgname;

-- name: disable_trigger
ALTER TABLE {table} DISABLE TRIGGER {name};

-- name: detach
ALTER TABLE {table} DROP CONSTRAINT {name};

-- name: orphans
-- Children of one foreign key that have no parent: VALIDATE would fail on them.
SELECT count(*) FROM {child} AS c
WHERE {no_null} AND NOT EXISTS (SELECT FROM {parent} AS p WHERE {same});

-- name: unchecked_foreign_keys
-- The foreign keys of these tables and of others to them that nobody has checked yet.
SELECT con.conname::text, c.relname::text, cn.nspname::text, p.relname::text, pn.nspname::text,
       array(SELECT a.attname::text FROM unnest(con.conkey) WITH ORDINALITY AS k (num, place)
             JOIN pg_attribute AS a ON a.attrelid = con.conrelid AND a.attnum = k.num ORDER BY k.place),
       array(SELECT a.attname::text FROM unnest(con.confkey) WITH ORDINALITY AS k (num, place)
             JOIN pg_attribute AS a ON a.attrelid = con.confrelid AND a.attnum = k.num ORDER BY k.place)
FROM pg_constraint AS con
JOIN pg_class AS c ON c.oid = con.conrelid JOIN pg_namespace AS cn ON cn.oid = c.relnamespace
JOIN pg_class AS p ON p.oid = con.confrelid JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
WHERE (con.conrelid = ANY (%(oids)s::oid[]) OR con.confrelid = ANY (%(oids)s::oid[]))
  AND con.contype = 'f' AND con.conparentid = 0 AND NOT con.convalidated
  AND pg_get_constraintdef(con.oid) NOT LIKE '%%NOT ENFORCED'
ORDER BY 3, 2, 1;

-- name: sequences
-- The sequences behind a table's columns: identity, serial, and what a default takes its value from, whoever owns it;
-- whether we may set each, and the value it goes on after.
SELECT DISTINCT a.attname::text, format('%%I.%%I', n.nspname, s.relname), has_sequence_privilege(s.oid, 'UPDATE'),
       coalesce(CASE WHEN has_sequence_privilege(s.oid, 'SELECT, USAGE') THEN pg_sequence_last_value(s.oid) END,
                q.seqstart - q.seqincrement)
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
JOIN pg_depend AS d ON (d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                        AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i'))
                    OR (d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid AND d.refclassid = 'pg_class'::regclass)
JOIN pg_class AS s ON s.relkind = 'S'
                  AND s.oid = CASE WHEN d.classid = 'pg_attrdef'::regclass THEN d.refobjid ELSE d.objid END
JOIN pg_sequence AS q ON q.seqrelid = s.oid JOIN pg_namespace AS n ON n.oid = s.relnamespace
WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, 2;

-- name: loose_sequences
-- Sequences behind no column, which an application asks by name: nothing tells what they count.
SELECT format('%%I.%%I', n.nspname, s.relname)
FROM pg_class AS s JOIN pg_namespace AS n ON n.oid = s.relnamespace
WHERE n.nspname = %(schema)s AND s.relkind = 'S'
  AND NOT EXISTS (
      SELECT FROM pg_depend AS d
      WHERE (d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i'))
         OR (d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid))
ORDER BY 1;

-- name: set_sequence
SELECT setval(%(sequence)s::regclass, %(value)s);

-- name: type_named
-- A type by the name a mapping gives it, seen from the search path of the session; NULL if there is none.
SELECT to_regtype(%(name)s)::text;

-- name: lock
-- What taking a trigger or a constraint off needs: writers at work and readers are waited for, others kept out.
LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE;

-- name: lock_holders
-- The other sessions that hold one of the tables.
SELECT DISTINCT l.pid FROM pg_locks AS l
JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s) AND l.granted AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1;
