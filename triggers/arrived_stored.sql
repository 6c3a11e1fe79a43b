-- The same for a key that a foreign key's look-up may have converted in NEW by now: read back from the table.
SELECT $number, julianday('now'), $stored_keys FROM $table AS stored WHERE stored.$rowid = new.$rowid
