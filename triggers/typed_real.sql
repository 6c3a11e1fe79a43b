-- The same for REAL affinity.
(SELECT $value WHERE typeof($value) = 'blob' OR typeof($value) = 'text' AND CAST($value AS NUMERIC) <> $value UNION ALL SELECT CAST($value AS REAL) WHERE NOT (typeof($value) = 'blob' OR typeof($value) = 'text' AND CAST($value AS NUMERIC) <> $value))
