-- The control schema `cdcsync`: what the target knows of its sources. Every row carries the source's id, so that
-- several sources can share a target as long as their tables do not overlap.

-- name: create
CREATE SCHEMA IF NOT EXISTS cdcsync;

-- The stored position of each source, moved only together with the rows it stands for. The guard asks `guarded`.
-- switch_back: the way back was taken, and the hook that switches the application is still to be run.
CREATE TABLE IF NOT EXISTS cdcsync.checkpoint (
    source_id uuid PRIMARY KEY,
    source text NOT NULL,
    target_schema text NOT NULL,
    state text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    anchor_at double precision,
    anchor_key text,
    consistent_seq bigint,
    owner uuid,
    role text,
    guarded boolean NOT NULL DEFAULT true,
    entries_per_second double precision,
    keys_verified_per_second double precision,
    pause_seconds double precision,
    cut_over_at timestamptz,
    switched_at timestamptz,
    switch_back boolean NOT NULL DEFAULT false,
    installed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20);

-- Apart from the checkpoint, whose row is locked while a long transaction copies or applies. looked_at: when the
-- stream last saw that the source's schema is what was installed; the heartbeat goes on while the stream is busy.
CREATE TABLE IF NOT EXISTS cdcsync.daemon (
    source_id uuid PRIMARY KEY REFERENCES cdcsync.checkpoint ON DELETE CASCADE,
    pid integer NOT NULL,
    host text NOT NULL,
    looked_at timestamptz,
    heartbeat_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20);

-- Where each table stands: entries above start_seq come from the stream, rows up to cursor are copied. plan is how
-- the table was mapped when it was installed or last followed, to be compared with how it is now.
CREATE TABLE IF NOT EXISTS cdcsync.tables (
    source_id uuid NOT NULL REFERENCES cdcsync.checkpoint ON DELETE CASCADE,
    number integer NOT NULL,
    name text NOT NULL,
    target text NOT NULL,
    created boolean NOT NULL,
    plan text NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    start_seq bigint NOT NULL DEFAULT 0,
    cursor text,
    rows_copied bigint NOT NULL DEFAULT 0,
    rows_total bigint,
    remade_at timestamptz,
    remade bigint NOT NULL DEFAULT 0,
    copy_rate double precision,
    PRIMARY KEY (source_id, number)
);

-- Statements that complete the target later: indexes after the copy, unique indexes after the first catch-up,
-- foreign keys at the handover. A constraint that was detached from a table found in place is kept here too.
CREATE TABLE IF NOT EXISTS cdcsync.pending_ddl (
    source_id uuid NOT NULL REFERENCES cdcsync.checkpoint ON DELETE CASCADE,
    place integer NOT NULL,
    phase text NOT NULL,
    table_name text NOT NULL,
    name text NOT NULL,
    statement text NOT NULL,
    detached boolean NOT NULL DEFAULT false,
    done_at timestamptz,
    error text,
    PRIMARY KEY (source_id, place)
);

-- Where capture was interrupted or the schema changed: since when at the latest, until when, and what was done.
-- closed_at: the table is equal again, or nothing was left to do.
CREATE TABLE IF NOT EXISTS cdcsync.drift (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id uuid NOT NULL REFERENCES cdcsync.checkpoint ON DELETE CASCADE,
    number integer NOT NULL,
    table_name text NOT NULL,
    kind text NOT NULL,
    answer text NOT NULL,
    since timestamptz,
    until timestamptz,
    rows_mended bigint,
    closed_at timestamptz
);

-- Rows PostgreSQL cannot hold as they are. They are not in the target, and nothing is handed over while there are any.
-- identity: a digest, because a key may be longer than an index takes. key: as core.keys.dump writes it. rows: more
-- than one where a key holds a NULL, which several rows of SQLite may share. seq: the position it was found at. confirmed: false
-- while a pass over the whole table has not come to it again.
CREATE TABLE IF NOT EXISTS cdcsync.quarantine (
    source_id uuid NOT NULL REFERENCES cdcsync.checkpoint ON DELETE CASCADE,
    number integer NOT NULL,
    identity text NOT NULL,
    key text NOT NULL,
    shown_key text NOT NULL,
    column_name text NOT NULL,
    value text NOT NULL,
    reason text NOT NULL,
    rows integer NOT NULL DEFAULT 1,
    seq bigint NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    confirmed boolean NOT NULL DEFAULT true,
    PRIMARY KEY (source_id, number, identity)
);

-- What was proven equal: all keys of a table but those with entries above seq. rows: when it was last read through.
-- It holds for this history, and as long as the table is not copied or repaired anew (tables.start_seq, remade) after the
-- reading began.
CREATE TABLE IF NOT EXISTS cdcsync.ledger (
    source_id uuid NOT NULL REFERENCES cdcsync.checkpoint ON DELETE CASCADE,
    number integer NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    rows bigint NOT NULL,
    differences bigint NOT NULL,
    remade bigint NOT NULL,
    swept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, number)
);

-- What happened, for people: errors, takeovers, the handover.
CREATE TABLE IF NOT EXISTS cdcsync.history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    message text NOT NULL
);

CREATE OR REPLACE VIEW cdcsync.status AS
    SELECT c.source, c.state, c.epoch, c.seq AS applied_seq, d.heartbeat_at
    FROM cdcsync.checkpoint AS c LEFT JOIN cdcsync.daemon AS d USING (source_id);

-- Move the checkpoint, or fail: a compare-and-set in the transaction of the rows is what makes their effect happen
-- exactly once. It raises instead of returning, so that it can stand first in a pipeline. After the handover
-- nothing moves it any more: no late daemon writes to a table that the application has taken over.
CREATE OR REPLACE FUNCTION cdcsync.advance(
    which uuid, in_epoch text, from_seq bigint, mine uuid,
    to_seq bigint, to_anchor_at double precision, to_anchor_key text, to_state text,
    to_consistent bigint, rate double precision
) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE cdcsync.checkpoint
    SET seq = to_seq, anchor_at = to_anchor_at, anchor_key = to_anchor_key, state = to_state,
        consistent_seq = coalesce(to_consistent, consistent_seq),
        entries_per_second = coalesce(rate, entries_per_second)
    WHERE source_id = which AND epoch = in_epoch AND seq = from_seq AND owner = mine AND state <> 'cut_over';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the checkpoint was moved or taken by another process' USING ERRCODE = 'CDC01';
    END IF;
END $$;

-- Refuse writes of other sessions to a table that is being filled; count write statements after the handover.
-- The count is a sequence: it takes no lock that two writers would wait for. It survives a rollback, so it can only
-- say too much. SECURITY DEFINER: the application's role needs no right in this schema.
CREATE OR REPLACE FUNCTION cdcsync.guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('cdcsync.writer', true) = TG_ARGV[0] THEN
        RETURN NULL;
    END IF;
    -- A transaction that sees the database as it was before a rollback would see the guard switched off.
    IF TG_NARGS > 2 AND NOT pg_visible_in_snapshot(TG_ARGV[2]::xid8, pg_current_snapshot()) THEN
        RAISE EXCEPTION 'cdcsync: the application went back to SQLite after this transaction began'
            USING ERRCODE = 'serialization_failure';
    END IF;
    IF (SELECT guarded FROM cdcsync.checkpoint WHERE source_id = TG_ARGV[0]::uuid) THEN
        RAISE EXCEPTION 'cdcsync: table %.% is being filled from SQLite and accepts no other writes',
            TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING HINT = 'Hand over first: cdcsync cutover. Or take the guard off: cdcsync uninstall.',
                  ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM nextval(TG_ARGV[1]::regclass);
    RETURN NULL;
END $$;

-- name: exists
SELECT to_regclass('cdcsync.checkpoint') IS NOT NULL;

-- name: drop
DROP SCHEMA IF EXISTS cdcsync CASCADE;

-- name: may_create
-- Whether this role may create the control schema, or has it already; and whether it may create target tables.
SELECT has_database_privilege(current_database(), 'CREATE') OR to_regnamespace('cdcsync') IS NOT NULL,
       to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL,
       coalesce(has_schema_privilege(to_regnamespace(quote_ident(%(schema)s)), 'CREATE'), false),
       current_user::text, current_database()::text;

-- name: write_counter
CREATE SEQUENCE IF NOT EXISTS {counter} CACHE 1;

-- name: drop_write_counter
DROP SEQUENCE IF EXISTS {counter};

-- name: guard_table
CREATE OR REPLACE TRIGGER _cdcsync_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION cdcsync.guard({source_id}, {counter});

-- name: guard_table_since
-- Made anew for the transaction that switches the guard on again. Every session sees a trigger as it is now, whatever its
-- snapshot says of the checkpoint.
CREATE OR REPLACE TRIGGER _cdcsync_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION cdcsync.guard({source_id}, {counter}, {since});

-- name: transaction
SELECT pg_current_xact_id()::text;

-- name: unguard_table
DROP TRIGGER IF EXISTS _cdcsync_guard ON {table};

-- name: forget
-- Everything about one source.
DELETE FROM cdcsync.checkpoint WHERE source_id = %(source_id)s;

-- name: sources_left
SELECT count(*) FROM cdcsync.checkpoint;

-- name: register
INSERT INTO cdcsync.checkpoint (source_id, source, target_schema, state, epoch, seq, anchor_at, anchor_key, guarded)
VALUES (%(source_id)s, %(source)s, %(schema)s, 'installed', %(epoch)s, %(seq)s, %(anchor_at)s, %(anchor_key)s,
        %(guard)s);

-- name: register_table
INSERT INTO cdcsync.tables (source_id, number, name, target, created, plan)
VALUES (%(source_id)s, %(number)s, %(name)s, %(target)s, %(created)s, %(plan)s)
ON CONFLICT (source_id, number) DO UPDATE
SET target = excluded.target, created = excluded.created, plan = excluded.plan, state = 'pending', cursor = NULL, rows_copied = 0;

-- name: registered_tables
SELECT number, name, target, created, plan FROM cdcsync.tables WHERE source_id = %(source_id)s ORDER BY number;

-- name: followed
-- The table is mapped like this from now on.
UPDATE cdcsync.tables SET plan = %(plan)s WHERE source_id = %(source_id)s AND number = %(number)s;

-- name: known_tables
-- What drifted, tables included that are forgotten by now.
SELECT DISTINCT table_name FROM cdcsync.drift WHERE source_id = %(source_id)s;

-- name: forget_table
-- With what was still to be done to it: a table of that name would be another one.
WITH forgotten AS (
    DELETE FROM cdcsync.tables WHERE source_id = %(source_id)s AND number = %(number)s RETURNING name
), released AS (
    DELETE FROM cdcsync.quarantine WHERE source_id = %(source_id)s AND number = %(number)s
)
DELETE FROM cdcsync.pending_ddl AS p USING forgotten AS f
WHERE p.source_id = %(source_id)s AND p.table_name = f.name;

-- name: registered_as
-- The source that was installed from this place into this schema.
SELECT source_id::text FROM cdcsync.checkpoint WHERE source = %(source)s AND target_schema = %(schema)s;

-- name: register_ddl
-- done: it was run already, and is kept to be compared with what a changed source asks for. detached: what was taken
-- off before under that name was of a table that somebody made anew.
WITH former AS (
    DELETE FROM cdcsync.pending_ddl
    WHERE source_id = %(source_id)s AND table_name = %(table)s AND phase = %(phase)s AND name = %(name)s
      AND detached AND %(detached)s
)
INSERT INTO cdcsync.pending_ddl (source_id, place, phase, table_name, name, statement, detached, done_at)
SELECT %(source_id)s, coalesce(max(place) + 1, 0), %(phase)s, %(table)s, %(name)s, %(statement)s, %(detached)s,
       CASE WHEN %(done)s THEN now() END
FROM cdcsync.pending_ddl WHERE source_id = %(source_id)s;

-- name: registered_ddl
-- What we gave a table beside its columns, run or not; what was detached from it is not ours.
SELECT place, phase, table_name, name, statement, detached, done_at IS NOT NULL AND error IS NULL
FROM cdcsync.pending_ddl
WHERE source_id = %(source_id)s AND table_name = %(table)s AND NOT detached ORDER BY place;

-- name: run_again_later
UPDATE cdcsync.pending_ddl SET done_at = NULL, error = NULL
WHERE source_id = %(source_id)s AND table_name = %(table)s AND name = %(name)s AND phase = 'unique' AND NOT detached;

-- name: run_again
UPDATE cdcsync.pending_ddl SET done_at = NULL, error = NULL
WHERE source_id = %(source_id)s AND phase = %(phase)s AND table_name = %(table)s AND name = %(name)s;

-- name: writes
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {counter};

-- name: forget_writes
SELECT setval({counter}::regclass, 1, false);

-- name: highest_number
SELECT greatest((SELECT coalesce(max(number), 0) FROM cdcsync.tables WHERE source_id = %(source_id)s),
                (SELECT coalesce(max(number), 0) FROM cdcsync.drift WHERE source_id = %(source_id)s));

-- name: forget_ddl
DELETE FROM cdcsync.pending_ddl WHERE source_id = %(source_id)s AND place = %(place)s;

-- name: owner_of_table
-- Another source that already fills a table of this name.
SELECT c.source FROM cdcsync.tables AS t JOIN cdcsync.checkpoint AS c USING (source_id)
WHERE c.target_schema = %(schema)s AND t.target = %(target)s AND t.source_id <> %(source_id)s;
