-- Statements for SQLite that `check` advises; cdcsync never runs them, so what follows a name is shown word for word.

-- name: empty_to_null
UPDATE $table SET $column = NULL WHERE $column = '';

-- name: delete_null_keys
DELETE FROM $table WHERE $column IS NULL;

-- name: release_orphans
UPDATE $table SET $column = NULL WHERE $filled AND NOT EXISTS (SELECT 1 FROM $parent AS p WHERE $same);

-- name: delete_orphans
DELETE FROM $table WHERE $filled AND NOT EXISTS (SELECT 1 FROM $parent AS p WHERE $same);
