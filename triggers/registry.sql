-- Which number stands for which table in the changelog. Triggers name tables by number because ALTER TABLE RENAME
-- rewrites names in trigger bodies but never string literals.
CREATE TABLE _cdcsync_tables (number INTEGER PRIMARY KEY, name TEXT NOT NULL)
