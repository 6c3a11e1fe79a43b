CREATE TABLE IF NOT EXISTS novels (
  id         TEXT PRIMARY KEY NOT NULL,
  title      TEXT NOT NULL,
  author     TEXT,
  language   TEXT NOT NULL DEFAULT 'en',
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS chapters (
  id       TEXT PRIMARY KEY NOT NULL,
  novel_id TEXT NOT NULL REFERENCES novels(id) ON DELETE CASCADE,
  number   INTEGER NOT NULL,
  title    TEXT,
  UNIQUE (novel_id, number)
);

CREATE TABLE IF NOT EXISTS paragraphs (
  id         TEXT PRIMARY KEY NOT NULL,
  chapter_id TEXT NOT NULL REFERENCES chapters(id) ON DELETE CASCADE,
  position   INTEGER NOT NULL,
  role       TEXT,
  text       TEXT NOT NULL,
  UNIQUE (chapter_id, position)
);

CREATE TABLE IF NOT EXISTS generation_progress (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  novel_id   TEXT NOT NULL REFERENCES novels(id) ON DELETE CASCADE,
  chapter_id TEXT NOT NULL REFERENCES chapters(id) ON DELETE CASCADE,
  stage      TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('pending', 'running', 'done', 'failed')),
  completed  INTEGER NOT NULL DEFAULT 0,
  total      INTEGER NOT NULL DEFAULT 0,
  updated_at TEXT NOT NULL,
  UNIQUE (chapter_id, stage)
);

CREATE TABLE IF NOT EXISTS progress (
  novel_id   TEXT NOT NULL REFERENCES novels(id) ON DELETE CASCADE,
  reader     TEXT NOT NULL,
  chapter_id TEXT REFERENCES chapters(id) ON DELETE SET NULL,
  position   INTEGER,
  percent    REAL,
  updated_at TEXT NOT NULL,
  PRIMARY KEY (novel_id, reader)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS audio_cache (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  paragraph_id TEXT NOT NULL REFERENCES paragraphs ON DELETE CASCADE,
  voice        TEXT NOT NULL,
  file_id      TEXT NOT NULL UNIQUE,
  file_size    INTEGER NOT NULL,
  duration_ms  INTEGER,
  checksum     BLOB,
  metadata     TEXT,
  created_at   TEXT NOT NULL,
  UNIQUE (paragraph_id, voice)
);

CREATE INDEX IF NOT EXISTS generation_progress_novel ON generation_progress (novel_id);
CREATE INDEX IF NOT EXISTS generation_progress_open ON generation_progress (updated_at)
  WHERE status IN ('pending', 'running');
CREATE INDEX IF NOT EXISTS progress_chapter ON progress (chapter_id);
CREATE INDEX IF NOT EXISTS audio_cache_created ON audio_cache (created_at DESC);
