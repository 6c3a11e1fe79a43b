-- Refuses every write to a table after the handover, with a message that says where the data went. It calls a function
-- nobody has, so SQLite refuses to compile the statement: applications see an operational error, whatever the statement's
-- conflict clause. RAISE would come as a constraint error, which they take for "already exists" and go on.
CREATE TRIGGER $trigger BEFORE $event ON $table BEGIN
  SELECT $message();
END
