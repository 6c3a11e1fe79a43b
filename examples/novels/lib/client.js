import { Random, ROLES, STAGES, VOICES } from './random.js';

const OWN_NOVELS = 3;
const CHAPTERS_SAMPLED = 6;
const AUDIO_REMEMBERED = 200;
const STATUSES = ['pending', 'running', 'done', 'failed'];
const MIX = [
  ['reading', 30], ['generation', 25], ['paragraphs', 20], ['audio', 20], ['novel', 3], ['delete', 2],
].flatMap(([kind, weight]) => Array(weight).fill(kind));

function newParagraph(chapter, offset) {
  const position = chapter.next + offset + 1;
  return { id: `${chapter.id}-p${position}`, position };
}

/**
 * One writer. No two clients write the same row, so for each row
 * the last line of the ledger is what the database must hold.
 */
export class Client {
  #novels = [];
  #chapters = [];
  #audio = [];
  #created = 0;

  constructor({ index, clients, run, requests, ledger }) {
    Object.assign(this, { index, clients, run, requests, ledger });
    this.random = new Random(`${run}-${index}`);
  }

  /** Deals some chapters of the existing novels out to all clients, each to one of them. */
  async discoverFor(clients) {
    const get = async (path) => (await this.requests.send('GET', path)).answer ?? [];
    let dealt = 0;
    for (const { id: novel } of await get('/api/novels')) {
      for (const { id } of (await get(`/api/novels/${novel}/chapters`)).slice(0, CHAPTERS_SAMPLED)) {
        const { paragraphs = [] } = await get(`/api/chapters/${id}`);
        clients[dealt % clients.length].adopt({ id, novel, paragraphs, next: 0, kept: true });
        dealt += 1;
      }
    }
  }

  adopt(chapter) {
    this.#chapters.push(chapter);
  }

  async write() {
    const kind = this.#novels.length === 0 ? 'novel' : this.random.pick(MIX);
    await this[kind]();
  }

  async reading() {
    const { novel, id } = this.random.pick(this.#chapters);
    const reader = `load-${this.run}-${this.index}-${this.random.below(20)}`;
    const body = { chapter_id: id, position: this.random.below(300), percent: this.random.below(100_001) / 1000 };
    await this.#send('reading', novel, 'PUT', `/api/novels/${novel}/progress/${reader}`, body);
  }

  async generation() {
    const { novel, id } = this.random.pick(this.#chapters);
    const total = this.random.below(500);
    const body = {
      stage: this.random.pick(STAGES),
      status: this.random.pick(STATUSES),
      completed: this.random.below(total + 1),
      total,
    };
    await this.#send('generation', novel, 'PUT', `/api/chapters/${id}/progress`, body);
  }

  /** New paragraphs in a chapter of its own, else new text in some that were there. */
  async paragraphs() {
    const chapter = this.random.pick(this.#chapters);
    const count = 1 + this.random.below(this.random.below(20) === 0 ? 200 : 8);
    const rows = chapter.kept
      ? chapter.paragraphs.slice(0, count).map(({ id, position }) => ({ id, position }))
      : Array.from({ length: count }, (_, n) => newParagraph(chapter, n));
    if (rows.length === 0) return;
    const filled = rows.map((row) => ({ ...row, role: this.random.pick(ROLES), text: this.random.text() }));
    const done = await this.#send('paragraphs', chapter.novel, 'POST', `/api/chapters/${chapter.id}/paragraphs`, {
      paragraphs: filled,
    });
    if (done && !chapter.kept) {
      chapter.next += count;
      chapter.paragraphs.push(...rows);
    }
  }

  /** Every other time the file of a paragraph that has one is replaced. */
  async audio() {
    const known = this.random.below(2) ? this.random.pick(this.#audio) : undefined;
    const target = known ?? this.#audioTarget();
    if (!target) return this.paragraphs();
    const body = {
      voice: target.voice,
      file_id: `file-${this.random.uuid()}`,
      file_size: this.random.fileSize(),
      duration_ms: this.random.below(60_000),
      checksum: this.random.hex(32),
      metadata: this.random.metadata(),
    };
    const done = await this.#send('audio', target.novel, 'PUT', `/api/paragraphs/${target.paragraph}/audio`, body);
    if (done && !known) this.#audio = [target, ...this.#audio].slice(0, AUDIO_REMEMBERED);
  }

  #audioTarget() {
    const { novel, paragraphs } = this.random.pick(this.#chapters);
    if (paragraphs.length === 0) return undefined;
    return { novel, paragraph: this.random.pick(paragraphs).id, voice: this.random.pick(VOICES) };
  }

  async novel() {
    if (this.#novels.length >= OWN_NOVELS) return this.delete();
    this.#created += 1;
    const novel = `load-${this.run}-${this.index}-${this.#created}`;
    const chapters = [1, 2].map((number) => ({ id: `${novel}-c${number}`, number, title: `Chapter ${number}` }));
    const body = { title: `Load “${novel}”`, author: null, chapters };
    if (await this.#send('novel', novel, 'PUT', `/api/novels/${novel}`, body)) {
      this.#novels.push(novel);
      for (const { id } of chapters) this.adopt({ id, novel, paragraphs: [], next: 0, kept: false });
    }
  }

  async delete() {
    const novel = this.#novels.shift();
    this.#chapters = this.#chapters.filter((chapter) => chapter.novel !== novel);
    this.#audio = this.#audio.filter((target) => target.novel !== novel);
    await this.#send('delete', novel, 'DELETE', `/api/novels/${novel}`);
  }

  async #send(kind, novel, method, path, body) {
    const { status, answer, attempts, ms } = await this.requests.send(method, path, body);
    // The first attempt may have deleted it and lost only its answer.
    const gone = method === 'DELETE' && status === 404 && attempts > 1;
    if (status === 200 || gone) {
      this.ledger.acknowledged({ client: this.index, kind, novel, method, path, body, answer }, ms);
      return true;
    }
    if (status === 0) this.ledger.unfinished();
    else this.ledger.failed(`${status} ${answer.error}`);
    return false;
  }
}
