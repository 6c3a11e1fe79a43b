-- The condition of victim.sql for an index on an expression.
($expression) = (SELECT $expression FROM (SELECT $arriving)) COLLATE $collation
