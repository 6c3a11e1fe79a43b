-- Refuses every write to a table after the handover, with a message that says where the data went: the path is no JSON
-- path, and SQLite's error quotes it. Applications see an operational error, whatever the statement's conflict clause.
-- RAISE would come as a constraint error, which they take for "already exists" and go on; a function or table nobody has
-- fails when the statement is compiled, and a connection that only writes would go on failing when the fence is gone.
CREATE TRIGGER $trigger BEFORE $event ON $table BEGIN
  SELECT json_extract('{}', $message);
END
