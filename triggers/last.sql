-- Stands behind every trigger of ours in sqlite_master, where VACUUM keeps views and triggers in their order: one that
-- lies behind it was made again by somebody, as the usual recipe for rebuilding a table does with rows nobody logged. A
-- view, because whoever takes all triggers off for a bulk load and puts them back leaves it where it is.
CREATE VIEW _cdcsync_last AS SELECT 1
