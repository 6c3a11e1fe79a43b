import { integer, hex, json, listOf, optional, percent, read, text } from './fields.js';
import { checkedText, HttpError, readJson, sendJson } from './http.js';
import * as store from './store.js';

const NOVEL = {
  title: text,
  author: optional(text),
  language: optional(text, 'en'),
  chapters: optional(listOf({ id: text, number: integer, title: optional(text) }, { max: 2000 }), []),
};
const PARAGRAPHS = {
  paragraphs: listOf({ id: optional(text), position: integer, role: optional(text), text }, { min: 1, max: 1000 }),
};
const GENERATION = { stage: text, status: text, completed: optional(integer, 0), total: optional(integer, 0) };
const READING = { chapter_id: optional(text), position: optional(integer), percent: optional(percent) };
const AUDIO = {
  voice: text,
  file_id: text,
  file_size: integer,
  duration_ms: optional(integer),
  checksum: optional(hex),
  metadata: optional(json),
};

const READS = [
  ['GET', '/api/novels', (db) => store.novels(db)],
  ['GET', '/api/novels/:id', (db, { id }) => store.novel(db, id)],
  ['GET', '/api/novels/:id/chapters', (db, { id }) => store.chapters(db, id)],
  ['GET', '/api/novels/:id/progress/:reader', (db, { id, reader }) => store.reading(db, id, reader)],
  ['GET', '/api/chapters/:id', (db, { id }) => store.chapter(db, id)],
  ['GET', '/api/chapters/:id/progress', (db, { id }) => store.generation(db, id)],
  ['GET', '/api/paragraphs/:id/audio', (db, { id }) => store.audio(db, id)],
];

const WRITES = [
  ['PUT', '/api/novels/:id', (db, { id }, body) => store.saveNovel(db, id, read(body, NOVEL))],
  ['DELETE', '/api/novels/:id', (db, { id }) => store.deleteNovel(db, id)],
  ['POST', '/api/chapters/:id/paragraphs', (db, { id }, body) =>
    store.saveParagraphs(db, id, read(body, PARAGRAPHS).paragraphs)],
  ['PUT', '/api/chapters/:id/progress', (db, { id }, body) => store.saveGeneration(db, id, read(body, GENERATION))],
  ['PUT', '/api/novels/:id/progress/:reader', (db, { id, reader }, body) =>
    store.saveReading(db, id, reader, read(body, READING))],
  ['PUT', '/api/paragraphs/:id/audio', (db, { id }, body) => store.saveAudio(db, id, read(body, AUDIO))],
];

const FAILURES = {
  missing: [404, 'not found'],
  duplicate: [409, 'conflict'],
  invalid: [400, 'invalid value'],
  unavailable: [503, 'unavailable'],
};

const compiled = ([method, path, handle]) => ({
  method,
  pattern: new RegExp(`^${path.replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`),
  handle,
});

function parameters(groups = {}) {
  try {
    return Object.fromEntries(Object.entries(groups).map(([k, v]) => [k, checkedText(decodeURIComponent(v))]));
  } catch {
    throw new HttpError(400, 'bad path');
  }
}

function failure(error) {
  if (error instanceof HttpError) return [error.status, error.message];
  return FAILURES[error.kind] ?? [500, 'internal'];
}

/** Returns the request listener; `warn` gets one line for each error that is not the client's. */
export function createApp(db, warn, gate) {
  const guarded = (handle) => async (_, params, request) => {
    const body = request.method === 'DELETE' ? undefined : await readJson(request);
    if (gate.paused) throw new HttpError(503, 'paused');
    return gate.enter(() => handle(db, params, body));
  };
  const health = async () => ({ status: (await store.health(db), 'ok'), paused: gate.paused });
  const pause = async () => (await gate.pause(), { paused: true });
  const resume = async () => (gate.resume(), { paused: false });
  const routes = [
    ['GET', '/health', health],
    ['POST', '/admin/pause', pause],
    ['POST', '/admin/resume', resume],
    ...READS,
    ...WRITES.map(([method, path, handle]) => [method, path, guarded(handle)]),
  ].map(compiled);

  async function answer(request) {
    const path = request.url.split('?', 1)[0];
    const matching = routes.filter(({ pattern }) => pattern.test(path));
    if (matching.length === 0) throw new HttpError(404, 'no such path');
    const route = matching.find(({ method }) => method === request.method);
    if (!route) throw new HttpError(405, 'method not allowed');
    return route.handle(db, parameters(route.pattern.exec(path).groups), request);
  }

  return async (request, response) => {
    try {
      sendJson(response, 200, await answer(request));
    } catch (error) {
      const [status, message] = failure(error);
      if (status === 500 || error.kind === 'unavailable') warn(`${request.method} ${request.url}: ${error.message}`);
      sendJson(response, status, { error: message });
    }
  };
}
