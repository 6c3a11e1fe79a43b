-- Does nothing. It is made after every trigger it stands behind: one of ours that lies behind it in sqlite_master was
-- made again by somebody, as the usual recipe for rebuilding a table does with rows nobody logged.
CREATE TRIGGER _cdcsync_last AFTER DELETE ON _cdcsync_tables BEGIN SELECT 1; END
