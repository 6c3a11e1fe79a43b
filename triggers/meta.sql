-- What this installation is: source_id, epoch, installed_at.
CREATE TABLE _cdcsync_meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID
