import { randomUUID } from 'node:crypto';
import { HttpError } from './http.js';

const NOVEL = 'id, title, author, language, created_at, updated_at';
const CHAPTER = 'id, novel_id, number, title';
const GENERATION = 'novel_id, chapter_id, stage, status, completed, total, updated_at';
const READING = 'novel_id, reader, chapter_id, position, percent, updated_at';
const AUDIO = 'paragraph_id, voice, file_id, file_size, duration_ms, checksum, metadata, created_at';

const now = () => new Date().toISOString();

function found(row) {
  if (!row) throw new HttpError(404, 'not found');
  return row;
}

function changed({ changes }) {
  if (changes === 0) throw new HttpError(409, 'conflict');
}

/** jsonb forgets the order of keys, so answers have one of their own. */
function ordered(value) {
  if (Array.isArray(value)) return value.map(ordered);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, ordered(value[key])]));
}

function audioView(row) {
  const metadata = typeof row.metadata === 'string' ? JSON.parse(row.metadata) : row.metadata;
  return { ...row, checksum: row.checksum?.toString('hex') ?? null, metadata: ordered(metadata) };
}

export const health = (db) => db.get('SELECT 1 AS ok FROM novels LIMIT 1');

export const novels = (db) =>
  db.all(`SELECT ${NOVEL} FROM novels ORDER BY created_at, id ${db.dialect.byBytes}`);

export const novel = async (db, id) => found(await db.get(`SELECT ${NOVEL} FROM novels WHERE id = @id`, { id }));

export async function saveNovel(db, id, { chapters, ...fields }) {
  await db.transaction(async (tx) => {
    await tx.run(
      `INSERT INTO novels (${NOVEL}) VALUES (@id, @title, @author, @language, @now, @now)
       ON CONFLICT (id) DO UPDATE SET title = excluded.title, author = excluded.author,
         language = excluded.language, updated_at = excluded.updated_at`,
      { id, ...fields, now: now() },
    );
    for (const chapter of chapters) {
      changed(await tx.run(
        `INSERT INTO chapters (${CHAPTER}) VALUES (@id, @novel_id, @number, @title)
         ON CONFLICT (id) DO UPDATE SET number = excluded.number, title = excluded.title
         WHERE chapters.novel_id = excluded.novel_id`,
        { ...chapter, novel_id: id },
      ));
    }
  });
  return novel(db, id);
}

export async function deleteNovel(db, id) {
  const { changes } = await db.run('DELETE FROM novels WHERE id = @id', { id });
  found(changes > 0);
  return { deleted: id };
}

export async function chapters(db, novelId) {
  await novel(db, novelId);
  return db.all(`SELECT ${CHAPTER} FROM chapters WHERE novel_id = @novelId ORDER BY number`, { novelId });
}

const chapterRow = async (db, id) => found(await db.get(`SELECT ${CHAPTER} FROM chapters WHERE id = @id`, { id }));

export async function chapter(db, id) {
  const row = await chapterRow(db, id);
  const paragraphs = await db.all(
    'SELECT id, position, role, text FROM paragraphs WHERE chapter_id = @id ORDER BY position',
    { id },
  );
  return { ...row, paragraphs };
}

export async function saveParagraphs(db, chapterId, paragraphs) {
  const ids = await db.transaction(async (tx) => {
    await chapterRow(tx, chapterId);
    const written = [];
    for (const paragraph of paragraphs) {
      const row = { ...paragraph, id: paragraph.id ?? randomUUID(), chapter_id: chapterId };
      changed(await tx.run(
        `INSERT INTO paragraphs (id, chapter_id, position, role, text)
         VALUES (@id, @chapter_id, @position, @role, @text)
         ON CONFLICT (id) DO UPDATE SET position = excluded.position, role = excluded.role, text = excluded.text
         WHERE paragraphs.chapter_id = excluded.chapter_id`,
        row,
      ));
      written.push(row.id);
    }
    return written;
  });
  return { chapter_id: chapterId, ids };
}

export async function generation(db, chapterId) {
  await chapterRow(db, chapterId);
  return db.all(
    `SELECT ${GENERATION} FROM generation_progress WHERE chapter_id = @chapterId
     ORDER BY stage ${db.dialect.byBytes}`,
    { chapterId },
  );
}

export async function saveGeneration(db, chapterId, fields) {
  const { novel_id } = await chapterRow(db, chapterId);
  const row = { novel_id, chapter_id: chapterId, ...fields, updated_at: now() };
  await db.run(
    `INSERT INTO generation_progress (${GENERATION})
     VALUES (@novel_id, @chapter_id, @stage, @status, @completed, @total, @updated_at)
     ON CONFLICT (chapter_id, stage) DO UPDATE SET status = excluded.status,
       completed = excluded.completed, total = excluded.total, updated_at = excluded.updated_at`,
    row,
  );
  return row;
}

export const reading = async (db, novelId, reader) => found(await db.get(
  `SELECT ${READING} FROM progress WHERE novel_id = @novelId AND reader = @reader`,
  { novelId, reader },
));

export async function saveReading(db, novelId, reader, fields) {
  const row = { novel_id: novelId, reader, ...fields, updated_at: now() };
  await db.run(
    `INSERT INTO progress (${READING})
     VALUES (@novel_id, @reader, @chapter_id, @position, @percent, @updated_at)
     ON CONFLICT (novel_id, reader) DO UPDATE SET chapter_id = excluded.chapter_id,
       position = excluded.position, percent = excluded.percent, updated_at = excluded.updated_at`,
    row,
  );
  return row;
}

export async function audio(db, paragraphId) {
  found(await db.get('SELECT id FROM paragraphs WHERE id = @paragraphId', { paragraphId }));
  const rows = await db.all(
    `SELECT ${AUDIO} FROM audio_cache WHERE paragraph_id = @paragraphId ORDER BY voice ${db.dialect.byBytes}`,
    { paragraphId },
  );
  return rows.map(audioView);
}

export async function saveAudio(db, paragraphId, fields) {
  const row = { paragraph_id: paragraphId, ...fields, created_at: now() };
  await db.transaction(async (tx) => {
    for (const sql of tx.dialect.replaceAudio) await tx.run(sql, row);
  });
  return audioView(row);
}
