-- A value as a column of BLOB affinity, or of no type, holds it, and with that affinity in comparisons. NEW.x has none
-- at all, which is not the same beside a TEXT column. Of a compound SELECT, the last one gives the affinity.
(SELECT $value WHERE typeof($value) <> 'blob' UNION ALL SELECT CAST($value AS BLOB) WHERE typeof($value) = 'blob')
