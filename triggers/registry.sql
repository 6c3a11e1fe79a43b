-- Which number stands for which table in the changelog, and what the table looked like when it was captured.
-- Triggers name tables by number because ALTER TABLE RENAME rewrites names in trigger bodies but never string
-- literals. It is made after every table it names: one that lies behind it in sqlite_master was made anew since; the
-- view of last.sql says the same of triggers.
CREATE TABLE _cdcsync_tables (number INTEGER PRIMARY KEY, name TEXT NOT NULL, shape TEXT NOT NULL)
