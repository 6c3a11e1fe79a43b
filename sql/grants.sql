-- Whether the application's role can use what it is handed.

-- name: role_exists
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s);

-- name: missing
-- The GRANT statements that are missing: on the schema, on tables, on the sequences behind their columns.
WITH wanted AS (
    SELECT c.oid, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s) AND c.relkind = 'r'
), used AS (
    SELECT DISTINCT s.seqrelid AS oid FROM wanted AS w
    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = w.oid AND d.classid = 'pg_class'::regclass
    -- Not pg_class: PostgreSQL may ask for a right before it looks whether an index or table is a sequence.
    JOIN pg_sequence AS s ON s.seqrelid = d.objid
    -- An identity column needs no right on its sequence.
    WHERE d.deptype = 'a'
)
SELECT format('GRANT USAGE ON SCHEMA %%I TO %%I', %(schema)s::text, %(role)s::text)
WHERE NOT has_schema_privilege(%(role)s, %(schema)s, 'USAGE')
UNION ALL
SELECT format('GRANT %%s ON %%s TO %%I', string_agg(p, ', ' ORDER BY p), w.oid::regclass, %(role)s::text)
FROM wanted AS w CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
WHERE NOT has_table_privilege(%(role)s, w.oid, p)
GROUP BY w.oid
UNION ALL
SELECT format('GRANT USAGE ON SEQUENCE %%s TO %%I', u.oid::regclass, %(role)s::text)
FROM used AS u WHERE NOT has_sequence_privilege(%(role)s, u.oid, 'USAGE');

-- name: standbys
-- Standbys, and how many of them a commit waits for.
SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) FROM pg_stat_replication;
