-- The condition of victim.sql for an index on an expression or a generated column: computed from the arriving row.
-- The plus takes the affinity away, so that the index can be used.
$victim = +(SELECT $arriving FROM ($row)) COLLATE $collation
