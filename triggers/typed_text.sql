-- The same for TEXT affinity: CAST would change a blob.
(SELECT $value WHERE typeof($value) = 'blob' UNION ALL SELECT CAST($value AS TEXT) WHERE typeof($value) <> 'blob')
