import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

function replace(file, text) {
  // Readers see the old text or the new one; passwords are in it.
  const fresh = `${file}.${randomUUID()}`;
  writeFileSync(fresh, text, { mode: 0o600 });
  renameSync(fresh, file);
}

/** One deployment of the service: settings in an env file, and beside it the pid of the process that serves. */
export class Deployment {
  constructor(envFile) {
    this.envFile = envFile;
    this.pidFile = join(dirname(envFile), 'service.pid');
  }

  #lines() {
    return readFileSync(this.envFile, 'utf8').split('\n').filter((line) => line);
  }

  settings() {
    const pairs = this.#lines().filter((line) => !line.startsWith('#')).map((line) => line.split(/=(.*)/s, 2));
    return Object.fromEntries(pairs);
  }

  /** The next start of the service sees them. */
  change(settings) {
    const kept = this.#lines().filter((line) => !(line.split('=', 1)[0] in settings));
    const added = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
    replace(this.envFile, `${[...kept, ...added].join('\n')}\n`);
  }

  get pid() {
    return Number(readFileSync(this.pidFile, 'utf8'));
  }

  set pid(pid) {
    replace(this.pidFile, String(pid));
  }

  /** { status, provider, answer }; throws where nobody listens. */
  async ask(method, path, body) {
    const url = `http://127.0.0.1:${this.settings().PORT}${path}`;
    const signal = AbortSignal.timeout(5000);
    const response = await fetch(url, { method, body: body && JSON.stringify(body), signal });
    const provider = response.headers.get('x-db-provider');
    return { status: response.status, provider, answer: await response.json() };
  }
}

/** The deployment that the command line names, and its other arguments. */
export function named() {
  const { values, positionals } = parseArgs({
    options: { 'env-file': { type: 'string', default: '.env' } },
    allowPositionals: true,
  });
  return { deployment: new Deployment(values['env-file']), words: positionals };
}
