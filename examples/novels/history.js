import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { Random, ROLES, STAGES, VOICES } from './lib/random.js';

const START = Date.UTC(2025, 0, 1);
const CHAPTERS_PER_COMMIT = 20;
const READERS = 40;
const STATUSES = ['pending', 'running', 'done', 'failed'];

function options() {
  const { values } = parseArgs({
    options: {
      db: { type: 'string' },
      chapters: { type: 'string', default: '1600' },
      paragraphs: { type: 'string', default: '400000' },
      seed: { type: 'string', default: '1' },
    },
  });
  const counts = [values.chapters, values.paragraphs].map(Number);
  if (!values.db || !counts.every((n) => Number.isInteger(n) && n > 0)) {
    throw new Error('usage: node history.js --db FILE [--chapters N] [--paragraphs N] [--seed S]');
  }
  return { file: values.db, chapters: counts[0], paragraphs: counts[1], seed: values.seed };
}

function openEmpty(file) {
  const db = new Database(file);
  // A run that dies is started again on a new file, so nothing here needs to survive a crash.
  db.pragma('journal_mode = MEMORY');
  db.pragma('synchronous = OFF');
  db.pragma('cache_size = -65536');
  db.exec(readFileSync(new URL('./schema.sql', import.meta.url), 'utf8'));
  if (db.prepare('SELECT 1 FROM novels').get()) throw new Error(`${file} already has novels`);
  return db;
}

const inserter = (db, table, columns) =>
  db.prepare(`INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`);

const inserters = (db) => ({
  novel: inserter(db, 'novels', ['id', 'title', 'author', 'language', 'created_at', 'updated_at']),
  chapter: inserter(db, 'chapters', ['id', 'novel_id', 'number', 'title']),
  paragraph: inserter(db, 'paragraphs', ['id', 'chapter_id', 'position', 'role', 'text']),
  generation: inserter(db, 'generation_progress',
    ['novel_id', 'chapter_id', 'stage', 'status', 'completed', 'total', 'updated_at']),
  reading: inserter(db, 'progress', ['novel_id', 'reader', 'chapter_id', 'position', 'percent', 'updated_at']),
  audio: inserter(db, 'audio_cache',
    ['paragraph_id', 'voice', 'file_id', 'file_size', 'duration_ms', 'checksum', 'metadata', 'created_at']),
});

/** Item `index` of `count` gets an even share of `total`; all shares add up to it. */
const share = (total, count, index) => Math.floor(((index + 1) * total) / count) - Math.floor((index * total) / count);

class History {
  #clock = START;

  constructor(db, random) {
    this.random = random;
    this.insert = inserters(db);
  }

  time() {
    this.#clock += 1 + this.random.below(5000);
    return new Date(this.#clock).toISOString();
  }

  addNovel(number) {
    const id = this.random.uuid();
    const author = this.random.pick(['Ana Ö. Ruiz', "Seán O'Neil", '林 冬', null]);
    const created = this.time();
    const title = `Novel ${number}: “${this.random.hex(3)}”`;
    this.insert.novel.run(id, title, author, this.random.pick(['en', 'de', 'ja']), created, this.time());
    return id;
  }

  addChapter(novelId, number, paragraphs) {
    const id = this.random.uuid();
    this.insert.chapter.run(id, novelId, number, this.random.below(10) ? `Chapter ${number}` : null);
    for (let position = 1; position <= paragraphs; position += 1) this.addParagraph(id, position);
    for (const stage of STAGES) {
      const status = this.random.pick(STATUSES);
      const completed = status === 'done' ? paragraphs : this.random.below(paragraphs + 1);
      this.insert.generation.run(novelId, id, stage, status, completed, paragraphs, this.time());
    }
    return id;
  }

  addParagraph(chapterId, position) {
    const id = this.random.uuid();
    this.insert.paragraph.run(id, chapterId, position, this.random.pick(ROLES), this.random.text());
    if (this.random.below(10) === 0) this.addAudio(id);
  }

  addAudio(paragraphId) {
    const { random } = this;
    const checksum = random.below(20) ? Buffer.from(random.hex(32), 'hex') : null;
    const metadata = random.below(20) ? JSON.stringify(random.metadata()) : null;
    this.insert.audio.run(paragraphId, random.pick(VOICES), `file-${random.uuid()}`, random.fileSize(),
      random.below(60_000), checksum, metadata, this.time());
  }

  addReaders(novelId, chapterIds) {
    for (let n = 1; n <= READERS; n += 1) {
      const percent = this.random.below(100_001) / 1000;
      const chapterId = this.random.pick(chapterIds);
      this.insert.reading.run(novelId, `reader-${n}`, chapterId, this.random.below(200), percent, this.time());
    }
  }
}

function fill(db, { chapters, paragraphs, seed }) {
  const history = new History(db, new Random(seed));
  const novels = Math.min(12, Math.ceil(chapters / 2));
  let done = 0;
  db.exec('BEGIN');
  for (let n = 0; n < novels; n += 1) {
    const novelId = history.addNovel(n + 1);
    const chapterIds = [];
    for (let number = 1; number <= share(chapters, novels, n); number += 1) {
      chapterIds.push(history.addChapter(novelId, number, share(paragraphs, chapters, done)));
      done += 1;
      if (done % CHAPTERS_PER_COMMIT === 0) db.exec('COMMIT; BEGIN');
    }
    history.addReaders(novelId, chapterIds);
  }
  db.exec('COMMIT');
}

try {
  const wanted = options();
  const db = openEmpty(wanted.file);
  fill(db, wanted);
  db.close();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
