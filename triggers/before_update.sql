-- The same for UPDATE OR REPLACE. $may_collide keeps updates that touch no unique column at no cost.
CREATE TRIGGER $trigger BEFORE UPDATE ON $table WHEN $may_collide BEGIN
$victims;
END
