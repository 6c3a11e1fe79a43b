-- Whether an affinity could convert a value: it is a number, or text that spells one.
CAST($value AS NUMERIC) = $value
