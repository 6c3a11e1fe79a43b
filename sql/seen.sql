-- What `check` keeps of values to find those that occur twice, in a database of its own.

-- name: make
CREATE TABLE seen (value BLOB NOT NULL, row_key TEXT NOT NULL);

-- name: add
INSERT INTO seen VALUES (?, ?);

-- name: count
-- Rows behind the first of each value. Sorting spills to disk.
SELECT count(*) - count(DISTINCT value) FROM seen;

-- name: first
-- Keys of rows whose value occurs more than once, equal ones beside each other.
SELECT row_key FROM seen WHERE value IN (SELECT value FROM seen GROUP BY value HAVING count(*) > 1 LIMIT 5)
ORDER BY value, rowid LIMIT ?;
