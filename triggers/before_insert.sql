-- REPLACE deletes the rows that stand in the way without firing their DELETE triggers. This logs their keys while
-- they still exist: one statement for each unique index ($before_insert), because a combined OR would scan the table.
CREATE TRIGGER $trigger BEFORE INSERT ON $table BEGIN
${before_insert}END
