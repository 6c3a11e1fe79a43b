-- The values of the arriving row, as columns that an expression of the schema finds by their names.
SELECT $columns
