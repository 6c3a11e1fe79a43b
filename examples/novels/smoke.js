/**
 * A hook of the cutover: the checklist of the migration plan, asked of the service. Reads come first, compared with
 * what SQLite holds, while the service refuses writes; then writes are opened and tried on a novel of their own.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { named } from './lib/deployment.js';
import * as store from './lib/store.js';
import { openStorage } from './storage/index.js';

const SAMPLES = 5;
const { deployment } = named();

function same(what, found, expected) {
  if (isDeepStrictEqual(found, expected)) return;
  throw new Error(`${what} is ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
}

async function ask(method, path, body) {
  const { status, provider, answer } = await deployment.ask(method, path, body);
  same(`the status of ${method} ${path}`, [status, provider], [200, 'postgres']);
  return answer;
}

/** Rows as JSON carries them: their prototype and order of columns are the driver's. */
const plain = (rows) => JSON.parse(JSON.stringify(rows));

async function reads() {
  await ask('GET', '/health');
  const settings = deployment.settings();
  const old = await openStorage({ ...settings, DB_PROVIDER: 'sqlite', SQLITE_PATH: process.env.CDCSYNC_SOURCE });
  try {
    const novels = plain(await store.novels(old));
    same('/api/novels', await ask('GET', '/api/novels'), novels);
    for (const { id } of novels.slice(-SAMPLES)) {
      const path = `/api/novels/${encodeURIComponent(id)}`;
      same(path, await ask('GET', path), plain(await store.novel(old, id)));
      const [chapter] = await store.chapters(old, id);
      if (chapter) await chapterIsTheSame(old, chapter.id);
    }
  } finally {
    await old.close();
  }
}

async function chapterIsTheSame(old, id) {
  const path = `/api/chapters/${encodeURIComponent(id)}`;
  same(path, await ask('GET', path), plain(await store.chapter(old, id)));
  same(`${path}/progress`, await ask('GET', `${path}/progress`), plain(await store.generation(old, id)));
}

async function writes() {
  const [novel, chapter, paragraph] = [0, 1, 2].map(() => `smoke-${randomUUID()}`);
  await ask('PUT', `/api/novels/${novel}`, { title: 'Smoke test', chapters: [{ id: chapter, number: 1 }] });
  const text = 'A smoke test of the cutover.';
  await ask('POST', `/api/chapters/${chapter}/paragraphs`, { paragraphs: [{ id: paragraph, position: 1, text }] });
  same('the chapter', (await ask('GET', `/api/chapters/${chapter}`)).paragraphs.map((row) => row.text), [text]);
  // Role detection and speech generation keep their progress here.
  await ask('PUT', `/api/chapters/${chapter}/progress`, { stage: 'roles', status: 'running', total: 1 });
  const [progress] = await ask('GET', `/api/chapters/${chapter}/progress`);
  same('the progress', [progress.stage, progress.status], ['roles', 'running']);
  const audio = { voice: 'smoke', file_id: `file-${paragraph}`, file_size: 2 ** 40, metadata: { rate: 1 } };
  await ask('PUT', `/api/paragraphs/${paragraph}/audio`, audio);
  const [cached] = await ask('GET', `/api/paragraphs/${paragraph}/audio`);
  same('the audio', [cached.file_id, cached.file_size, cached.metadata], [audio.file_id, 2 ** 40, { rate: 1 }]);
  await ask('DELETE', `/api/novels/${novel}`);
}

async function main() {
  await reads();
  deployment.change({ WRITES: 'open' });
  await ask('POST', '/admin/resume');
  await writes();
}

main().catch((error) => {
  console.error(`smoke test: ${error.message}`);
  process.exitCode = 1;
});
