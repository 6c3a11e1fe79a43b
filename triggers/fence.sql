-- Refuses every write to a row of a table after the handover, with a message that says where the data went: as the JSON
-- path of a call that fails when it runs. Applications see an operational error, whatever the statement's conflict clause;
-- RAISE would come as a constraint error, which they take for "already exists" and go on. A name that nobody has, of a
-- function or a table, would not do: SQLite compiles by the schema a connection remembers and looks for a newer one only
-- when a statement runs, so connections that met the fence would stay behind it after a rollback.
CREATE TRIGGER $trigger BEFORE $event ON $table BEGIN
  SELECT json_extract('[]', $message);
END
