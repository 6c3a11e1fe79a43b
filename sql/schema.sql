-- What the source schema looks like. Parameters are bound wherever SQLite allows it: pragma functions take names
-- as values, so no name needs quoting here.

-- name: objects
-- Everything the database holds, in the order it was created.
SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY rowid;

-- name: table_kinds
-- ordinary, virtual or shadow; WITHOUT ROWID and STRICT (SQLite 3.37 and later).
SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main';

-- name: columns
-- hidden: 0 ordinary, 1 hidden in a virtual table, 2 virtual generated, 3 stored generated.
SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid;

-- name: indexes
SELECT name, "unique", origin, partial FROM pragma_index_list(?) ORDER BY seq;

-- name: index_columns
-- The key columns of an index with the index's own collation, which may differ from the column's.
SELECT name, coll, "desc" FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno;

-- name: foreign_keys
SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq;

-- name: rowid_probe
-- Prepares only where the rowid can be reached by this name. An index may need a collation of the application's.
SELECT $rowid FROM $table NOT INDEXED LIMIT 0;
