-- The same row with values changed or added.
SELECT $columns FROM ($row)
